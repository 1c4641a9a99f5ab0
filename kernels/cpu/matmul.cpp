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
constexpr int kFewRows = 16;  // the library sums in another order below this many rows
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

  // A last tile of few rows is filled up with zeros, so that a row gets the same bits in every batch.
  const std::int64_t last = (tiles_m - 1) * kTileM, rows = s.M - last;
  float *filled_a = nullptr, *filled_c = nullptr;
  if (rows < kFewRows) {
    filled_a = static_cast<float*>(backend.workspace(std::size_t(kFewRows) * s.K * sizeof(float)));
    filled_c = static_cast<float*>(backend.workspace(std::size_t(kFewRows) * s.N * sizeof(float)));
    std::fill_n(filled_a, std::size_t(kFewRows) * s.K, 0.0f);
    for (std::int64_t m = 0; m < rows; ++m)
      for (std::int64_t k = 0; k < s.K; ++k)
        filled_a[m * s.K + k] = s.transpose_a ? a[k * lda + last + m] : a[(last + m) * lda + k];
  }

  parallel_for(tiles_m * tiles_n, [&](std::int64_t tile) {
    const std::int64_t m0 = tile / tiles_n * kTileM, n0 = tile % tiles_n * kTileN;
    const std::int64_t m = std::min<std::int64_t>(kTileM, s.M - m0),
                       n = std::min<std::int64_t>(kTileN, s.N - n0);
    const bool filled = m < kFewRows;
    const bool transpose_a = s.transpose_a && !filled;
    const float* from = filled ? filled_a : a + (transpose_a ? m0 : m0 * lda);
    float* c = C + m0 * s.N + n0;
    float* to = filled ? filled_c + n0 : c;
    keep_onednn_on_this_thread();
    dnnl::error::wrap_c_api(
        dnnl_sgemm(transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', filled ? kFewRows : m, n, s.K, 1.0f,
                   from, filled ? s.K : lda, b + (s.transpose_b ? n0 * ldb : n0), ldb, 0.0f, to, s.N),
        "matmul: oneDNN refused");
    if (!filled && !bias) return;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        c[i * s.N + j] = to[i * s.N + j] + (bias ? bias[n0 + j] : 0.0f);
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
