// What: y = Σ x[i].
// Who: at most 1024 blocks of 256 threads over all elements, one sum per block; then one block over those.
// Where: the tree in registers; one sum per warp (32 bytes) in shared memory.
// Limit: memory: a few loads of 4 bytes in flight per thread.
//
// The 32 lanes of a warp can read each other's registers: a shuffle replaces a write, a barrier and a read of
// shared memory. Each warp folds its 32 sums in five shuffles, leaves one number in shared memory, and after
// the only barrier the first warp folds those eight. With __shfl_xor_sync every lane ends with the sum, and
// with the same bits: a + b is b + a.
#include <algorithm>

#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace sum_4 {

constexpr int kThreads = 256, kWarps = kThreads / 32, kMostBlocks = 1024;

// Σ over the lanes of a warp, in every lane.
__device__ __forceinline__ float warp_sum(float sum) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2)
    sum += __shfl_xor_sync(0xffffffffu, sum, apart);
  return sum;
}

__global__ void __launch_bounds__(kThreads) sum_4_kernel(std::int64_t n, const float* x, float* sums) {
  CLX_SHARED(float, part, [kWarps]);
  const int t = threadIdx.x;
  float sum = 0;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + t; i < n;
       i += std::int64_t(gridDim.x) * kThreads)
    sum += x[i];
  sum = warp_sum(sum);
  if (t % 32 == 0) part[t / 32] = sum;
  __syncthreads();  // every warp's sum is written
  if (t < 32) {
    sum = warp_sum(t < kWarps ? part[t] : 0.f);
    if (t == 0) sums[blockIdx.x] = sum;
  }
}

}  // namespace sum_4
}  // namespace

void sum_4_warp_shuffle(const Gpu& gpu, std::int64_t n, const float* x, float* y) {
  using namespace sum_4;
  const int blocks = static_cast<int>(std::min<std::int64_t>(kMostBlocks, (n + kThreads - 1) / kThreads));
  float* const sums = static_cast<float*>(gpu.workspace(kMostBlocks * sizeof(float)));
  launch(sum_4_kernel, blocks, kThreads, 0, gpu, n, x, sums);
  launch(sum_4_kernel, 1, kThreads, 0, gpu, blocks, sums, y);
}

}  // namespace clx::kernels::ladder
