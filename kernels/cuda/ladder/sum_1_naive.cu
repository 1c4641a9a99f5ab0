// What: y = Σ x[i].
// Who: one thread per run of 256 neighbours, 128 in a block; again over the sums, until one is left.
// Where: everything in global memory, the sum in a register.
// Limit: memory transactions: the lanes of a warp read 1 KiB apart, each from another 32-byte sector.
//
// Two threads cannot add to the same number without an atomic, and atomics come in any order: floating-point
// sums would differ from run to run. So each thread adds a run of its own and stores one number, and the same
// kernel adds those. The order of all additions is fixed by n. But the lanes of a warp read far apart: the
// trouble of the first matrix product.
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace sum_1 {

constexpr int kThreads = 128, kRun = 256;

__global__ void __launch_bounds__(kThreads) sum_1_kernel(std::int64_t n, const float* x, float* sums) {
  const std::int64_t run = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t begin = run * kRun, end = begin + kRun < n ? begin + kRun : n;
  if (begin >= n) return;
  float sum = 0;
  for (std::int64_t i = begin; i < end; ++i)
    sum += x[i];
  sums[run] = sum;
}

}  // namespace sum_1
}  // namespace

void sum_1_naive(const Gpu& gpu, std::int64_t n, const float* x, float* y) {
  using namespace sum_1;
  while (true) {
    const std::int64_t runs = (n + kRun - 1) / kRun;
    float* const sums = runs == 1 ? y : static_cast<float*>(gpu.workspace(std::size_t(runs) * sizeof(float)));
    const dim3 grid(static_cast<unsigned>((runs + kThreads - 1) / kThreads));
    launch(sum_1_kernel, grid, kThreads, 0, gpu, n, x, sums);
    if (runs == 1) return;
    n = runs, x = sums;
  }
}

}  // namespace clx::kernels::ladder
