// What: y[m,k] = Σ_d patches[m,d]·w[k,d], m = (n,p,q) a position, d = (r,s,c) a tap.
// Who: one block of 16×16 threads per 64 positions × 64 filters, 4×4 results per thread, d in steps of 16.
// Where: two tiles of 16×(64 + 4) floats (8.5 KiB) in shared memory, 16 sums in registers.
// Limit: f32 multiply-adds, and the integer arithmetic of finding pixels.
//
// As in rung 4 of the matrix product a thread owns 4×4 results, so that half a number is read from shared
// memory for each multiply-add. Tiles lie with the tap first. Which pixel a number of a patch is costs
// divisions, more than the load itself; here each is used for 64 filters instead of 16. The framework's own
// kernels (kernels/cuda/conv2d_operands.cuh) compute what stays the same once, and divide by multiplying.
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace conv_3 {

constexpr int kThreads = 16;  // along each axis
constexpr int kOwn = 4;       // results of a thread along each axis
constexpr int kTile = kThreads * kOwn, kDepth = 16;

__global__ void __launch_bounds__(kThreads* kThreads)
    conv_3_kernel(const Conv2dShape s, int P, int Q, const bf16* x, const bf16* w, float* y) {
  CLX_SHARED(float, patches, [kDepth][kTile + 4]);  // (tap, position)
  CLX_SHARED(float, filters, [kDepth][kTile + 4]);  // (tap, filter)
  const int tx = threadIdx.x, ty = threadIdx.y, positions = s.N * P * Q, taps = s.R * s.S * s.C;
  const int m0 = blockIdx.x * kTile, k0 = blockIdx.y * kTile;
  float sum[kOwn][kOwn] = {};
  for (int d0 = 0; d0 < taps; d0 += kDepth) {
    const int d = d0 + tx, c = d % s.C, r = d / s.C / s.S,
              t = d / s.C % s.S;  // of all that this thread loads
    for (int row = ty; row < kTile; row += kThreads) {
      const int m = m0 + row, n = m / (P * Q);
      const int h = m / Q % P * s.stride - s.padding + r, v = m % Q * s.stride - s.padding + t;
      const bool inside = m < positions && d < taps && h >= 0 && h < s.H && v >= 0 && v < s.W;
      patches[tx][row] =
          inside ? static_cast<float>(x[((std::size_t(n) * s.H + h) * s.W + v) * s.C + c]) : 0.f;
      filters[tx][row] =
          k0 + row < s.K && d < taps ? static_cast<float>(w[std::size_t(k0 + row) * taps + d]) : 0.f;
    }
    __syncthreads();  // both tiles are written
    for (int i = 0; i < kDepth; ++i) {
      float a[kOwn], b[kOwn];
#pragma unroll
      for (int j = 0; j < kOwn; ++j) {
        a[j] = patches[i][ty * kOwn + j];
        b[j] = filters[i][tx * kOwn + j];
      }
#pragma unroll
      for (int j = 0; j < kOwn; ++j) {
#pragma unroll
        for (int k = 0; k < kOwn; ++k)
          sum[j][k] += a[j] * b[k];
      }
    }
    __syncthreads();  // both tiles are used up
  }
#pragma unroll
  for (int j = 0; j < kOwn; ++j) {
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const int m = m0 + ty * kOwn + j, k = k0 + tx * kOwn + i;
      if (m < positions && k < s.K) y[std::size_t(m) * s.K + k] = sum[j][i];
    }
  }
}

}  // namespace conv_3
}  // namespace

void conv_3_register_tile(const Gpu& gpu, const Conv2dShape& s, const bf16* x, const bf16* w, float* y) {
  using namespace conv_3;
  const dim3 grid((s.N * s.P() * s.Q() + kTile - 1) / kTile, (s.K + kTile - 1) / kTile);
  launch(conv_3_kernel, grid, dim3(kThreads, kThreads), 0, gpu, s, s.P(), s.Q(), x, w, y);
}

}  // namespace clx::kernels::ladder
