// What: y = Σ x[i].
// Who: at most 1024 blocks of 256 threads over all elements, one sum per block; then one block over those.
// Where: 256 partial sums (1 KiB) in shared memory.
// Limit: memory, and eight barriers at the end of each block.
//
// New: the threads of a block add up their own sums. In shared memory the upper half's sums are added to the
// lower half's, then the upper quarter's, a binary tree of eight levels with a barrier before each. A block
// so leaves one number instead of 256, and two launches are enough for any n. Within a level all additions
// are independent: the tree fixes their order no less than a loop does.
#include <algorithm>

#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace sum_3 {

constexpr int kThreads = 256, kMostBlocks = 1024;

__global__ void __launch_bounds__(kThreads) sum_3_kernel(std::int64_t n, const float* x, float* sums) {
  CLX_SHARED(float, part, [kThreads]);
  const int t = threadIdx.x;
  float sum = 0;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + t; i < n;
       i += std::int64_t(gridDim.x) * kThreads)
    sum += x[i];
  part[t] = sum;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();  // the upper half's sums are written
    if (t < half) part[t] += part[t + half];
  }
  if (t == 0) sums[blockIdx.x] = part[0];
}

}  // namespace sum_3
}  // namespace

void sum_3_shared_tree(const Gpu& gpu, std::int64_t n, const float* x, float* y) {
  using namespace sum_3;
  const int blocks = static_cast<int>(std::min<std::int64_t>(kMostBlocks, (n + kThreads - 1) / kThreads));
  float* const sums = static_cast<float*>(gpu.workspace(kMostBlocks * sizeof(float)));
  launch(sum_3_kernel, blocks, kThreads, 0, gpu, n, x, sums);
  launch(sum_3_kernel, 1, kThreads, 0, gpu, blocks, sums, y);
}

}  // namespace clx::kernels::ladder
