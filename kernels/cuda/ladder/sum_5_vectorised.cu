// What: y = Σ x[i].
// Who: at most 1024 blocks of 256 threads over all elements, one sum per block; then one block over those.
// Where: four times four numbers per thread in registers; one sum per warp (32 bytes) in shared memory.
// Limit: memory bandwidth.
//
// Bandwidth is bytes in flight divided by latency. A thread of rung 4 loads numbers of 4 bytes, as many at a
// time as the compiler unrolls the loop; here it asks for four vectors of 16 bytes before it adds the first,
// into four sums that do not wait for each other. What that does not divide is added one by one, and the four
// sums in a fixed order.
#include <algorithm>

#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace sum_5 {

constexpr int kThreads = 256, kWarps = kThreads / 32, kMostBlocks = 1024;
constexpr int kVectors = 4;

// Σ over the lanes of a warp, in every lane.
__device__ __forceinline__ float warp_sum(float sum) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2)
    sum += __shfl_xor_sync(0xffffffffu, sum, apart);
  return sum;
}

__global__ void __launch_bounds__(kThreads) sum_5_kernel(std::int64_t n, const float* x, float* sums) {
  CLX_SHARED(float, part, [kWarps]);
  const int t = threadIdx.x;
  const std::int64_t threads = std::int64_t(gridDim.x) * kThreads;
  const std::int64_t thread = std::int64_t(blockIdx.x) * kThreads + t, together = threads * kVectors;
  const std::int64_t whole = n / 4 / together * together;  // vectors that all threads load kVectors at a time
  const float4* const vectors = reinterpret_cast<const float4*>(x);
  float sum[kVectors] = {};
  for (std::int64_t i = thread; i < whole; i += together) {
    float4 v[kVectors];
#pragma unroll
    for (int j = 0; j < kVectors; ++j)
      v[j] = vectors[i + j * threads];
#pragma unroll
    for (int j = 0; j < kVectors; ++j)
      sum[j] += (v[j].x + v[j].y) + (v[j].z + v[j].w);
  }
  for (std::int64_t i = whole * 4 + thread; i < n; i += threads)
    sum[0] += x[i];
  const float of_warp = warp_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
  if (t % 32 == 0) part[t / 32] = of_warp;
  __syncthreads();  // every warp's sum is written
  if (t < 32) {
    const float of_block = warp_sum(t < kWarps ? part[t] : 0.f);
    if (t == 0) sums[blockIdx.x] = of_block;
  }
}

}  // namespace sum_5
}  // namespace

void sum_5_vectorised(const Gpu& gpu, std::int64_t n, const float* x, float* y) {
  using namespace sum_5;
  const int blocks = static_cast<int>(std::min<std::int64_t>(kMostBlocks, (n + kThreads - 1) / kThreads));
  float* const sums = static_cast<float*>(gpu.workspace(kMostBlocks * sizeof(float)));
  launch(sum_5_kernel, blocks, kThreads, 0, gpu, n, x, sums);
  launch(sum_5_kernel, 1, kThreads, 0, gpu, blocks, sums, y);
}

}  // namespace clx::kernels::ladder
