#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/cpu/onednn.h"
#include "kernels/cpu/parallel.h"
#include "kernels/elementwise.h"

namespace clx::kernels {
namespace {

// C is computed in tiles of a fixed size, each by one thread, so that the sums do not depend on the
// number of threads.
constexpr int kTileM = 96, kTileN = 256;
constexpr int kColumns = 64;  // columns of a chunk of column_sum

const float* in_f32(const Cpu& backend, std::int64_t n, ConstView v) {
  if (v.dtype == DType::f32) return v.as<float>();
  const View f32{backend.workspace(static_cast<std::size_t>(n) * sizeof(float)), DType::f32};
  convert(backend, n, v, f32);
  return f32.as<float>();
}

}  // namespace

void matmul(
    const Cpu& backend, const MatmulShape& s, Math, ConstView A, ConstView B, const float* bias, float* C) {
  const float* a = in_f32(backend, std::int64_t(s.M) * s.K, A);
  const float* b = in_f32(backend, std::int64_t(s.K) * s.N, B);
  const std::int64_t lda = s.transpose_a ? s.M : s.K, ldb = s.transpose_b ? s.K : s.N;
  const std::int64_t tiles_m = (s.M + kTileM - 1) / kTileM, tiles_n = (s.N + kTileN - 1) / kTileN;
  parallel_for(tiles_m * tiles_n, [&](std::int64_t tile) {
    const std::int64_t m0 = tile / tiles_n * kTileM, n0 = tile % tiles_n * kTileN;
    const std::int64_t m = std::min<std::int64_t>(kTileM, s.M - m0),
                       n = std::min<std::int64_t>(kTileN, s.N - n0);
    float* c = C + m0 * s.N + n0;
    keep_onednn_on_this_thread();
    dnnl::error::wrap_c_api(dnnl_sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', m, n, s.K, 1.0f,
                                       a + (s.transpose_a ? m0 : m0 * lda), lda,
                                       b + (s.transpose_b ? n0 * ldb : n0), ldb, 0.0f, c, s.N),
                            "matmul: oneDNN refused");
    if (!bias) return;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        c[i * s.N + j] += bias[n0 + j];
  });
}

void column_sum(const Cpu&, int rows, int cols, const float* x, float* y) {
  parallel_ranges(cols, kColumns, [&](std::int64_t begin, std::int64_t end) {
    double sum[kColumns] = {};
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = begin; c < end; ++c)
        sum[c - begin] += static_cast<double>(x[r * cols + c]);
    for (std::int64_t c = begin; c < end; ++c)
      y[c] = static_cast<float>(sum[c - begin]);
  });
}

}  // namespace clx::kernels
