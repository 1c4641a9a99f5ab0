// What: y[m,k] = Σ_d patches[m,d]·w[k,d], m = (n,p,q) a position, d = (r,s,c) a tap.
// Who: one block of 16×16 threads per 16 positions × 16 filters, one thread per result, d in steps of 16.
// Where: two tiles of 16×(16 + 1) floats (2.1 KiB) in shared memory, the sum in a register.
// Limit: shared memory: two reads for each multiply-add.
//
// A convolution is a matrix product: a row of its left factor holds the pixels that one window sees, a row of
// the right one a filter. That left factor would be R·S times as large as x, so it is never stored: whoever
// loads a tile of it computes, from the row and column, which pixel belongs there ("implicit GEMM"), and zero
// if that is in the padding. The rest is rung 3 of the matrix product. One column more than needed puts the
// rows of a tile into different banks: a half-warp reads 16 filters at the same tap.
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace conv_2 {

constexpr int kTile = 16;

__global__ void __launch_bounds__(kTile* kTile)
    conv_2_kernel(const Conv2dShape s, int P, int Q, const bf16* x, const bf16* w, float* y) {
  CLX_SHARED(float, patches, [kTile][kTile + 1]);  // (position, tap)
  CLX_SHARED(float, filters, [kTile][kTile + 1]);  // (filter, tap)
  const int tx = threadIdx.x, ty = threadIdx.y, positions = s.N * P * Q, taps = s.R * s.S * s.C;
  const int m = blockIdx.x * kTile + ty, k0 = blockIdx.y * kTile;
  const int n = m / (P * Q), top = m / Q % P * s.stride - s.padding, left = m % Q * s.stride - s.padding;
  float sum = 0;
  for (int d0 = 0; d0 < taps; d0 += kTile) {
    const int d = d0 + tx, c = d % s.C, h = top + d / s.C / s.S, v = left + d / s.C % s.S;
    const bool inside = m < positions && d < taps && h >= 0 && h < s.H && v >= 0 && v < s.W;
    patches[ty][tx] = inside ? static_cast<float>(x[((std::size_t(n) * s.H + h) * s.W + v) * s.C + c]) : 0.f;
    filters[ty][tx] =
        k0 + ty < s.K && d < taps ? static_cast<float>(w[std::size_t(k0 + ty) * taps + d]) : 0.f;
    __syncthreads();  // both tiles are written
    for (int i = 0; i < kTile; ++i)
      sum += patches[ty][i] * filters[tx][i];
    __syncthreads();  // both tiles are used up
  }
  if (m < positions && k0 + tx < s.K) y[std::size_t(m) * s.K + k0 + tx] = sum;
}

}  // namespace conv_2
}  // namespace

void conv_2_implicit_gemm(const Gpu& gpu, const Conv2dShape& s, const bf16* x, const bf16* w, float* y) {
  using namespace conv_2;
  const dim3 grid((s.N * s.P() * s.Q() + kTile - 1) / kTile, (s.K + kTile - 1) / kTile);
  launch(conv_2_kernel, grid, dim3(kTile, kTile), 0, gpu, s, s.P(), s.Q(), x, w, y);
}

}  // namespace clx::kernels::ladder
