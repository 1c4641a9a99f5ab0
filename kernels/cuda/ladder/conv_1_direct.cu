// What: y[n,p,q,k] = Σ_{r,s,c} x[n, p·stride + r − padding, q·stride + s − padding, c] · w[k,r,s,c].
// Who: one thread per result, 128 in a block, filters fastest.
// Where: everything in global memory, the sum in a register.
// Limit: load instructions and the L1 cache: two loads for each multiply-add.
//
// The formula as it stands: a thread finds out which result is its own and walks over the window.
// Neighbouring threads have neighbouring filters: they read the same pixels, a broadcast, and store next to
// each other; but each reads a filter of its own, R·S·C numbers away from its neighbour's.
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace conv_1 {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    conv_1_kernel(const Conv2dShape s, int P, int Q, const bf16* x, const bf16* w, float* y) {
  const std::int64_t index = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= std::int64_t(s.N) * P * Q * s.K) return;
  const int k = static_cast<int>(index % s.K), q = static_cast<int>(index / s.K % Q);
  const int p = static_cast<int>(index / s.K / Q % P), n = static_cast<int>(index / s.K / Q / P);
  float sum = 0;
  for (int r = 0; r < s.R; ++r) {
    for (int t = 0; t < s.S; ++t) {
      const int h = p * s.stride + r - s.padding, v = q * s.stride + t - s.padding;
      if (h < 0 || h >= s.H || v < 0 || v >= s.W) continue;
      const bf16* const pixel = x + ((std::size_t(n) * s.H + h) * s.W + v) * s.C;
      const bf16* const tap = w + ((std::size_t(k) * s.R + r) * s.S + t) * s.C;
      for (int c = 0; c < s.C; ++c)
        sum += static_cast<float>(pixel[c]) * static_cast<float>(tap[c]);
    }
  }
  y[index] = sum;
}

}  // namespace conv_1
}  // namespace

void conv_1_direct(const Gpu& gpu, const Conv2dShape& s, const bf16* x, const bf16* w, float* y) {
  using namespace conv_1;
  const std::int64_t results = std::int64_t(s.N) * s.P() * s.Q() * s.K;
  const dim3 grid(static_cast<unsigned>((results + kThreads - 1) / kThreads));
  launch(conv_1_kernel, grid, kThreads, 0, gpu, s, s.P(), s.Q(), x, w, y);
}

}  // namespace clx::kernels::ladder
