// What: y = Σ x[i].
// Who: one thread per 256 elements, as many apart as there are threads; again over the sums, until one is
// left. Where: everything in global memory, the sum in a register. Limit: memory; the later launches, in
// which few threads add many numbers, are latency.
//
// The runs are dealt out like cards: of T threads, thread t adds x[t], x[t + T], x[t + 2·T] and so on, so
// that at any time the lanes of a warp read neighbours, four whole sectors, of which every byte is used.
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace sum_2 {

constexpr int kThreads = 128, kRun = 256;

__global__ void __launch_bounds__(kThreads)
    sum_2_kernel(std::int64_t n, std::int64_t runs, const float* x, float* sums) {
  const std::int64_t run = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (run >= runs) return;
  float sum = 0;
  for (std::int64_t i = run; i < n; i += runs)
    sum += x[i];
  sums[run] = sum;
}

}  // namespace sum_2
}  // namespace

void sum_2_coalesced(const Gpu& gpu, std::int64_t n, const float* x, float* y) {
  using namespace sum_2;
  while (true) {
    const std::int64_t runs = (n + kRun - 1) / kRun;
    float* const sums = runs == 1 ? y : static_cast<float*>(gpu.workspace(std::size_t(runs) * sizeof(float)));
    const dim3 grid(static_cast<unsigned>((runs + kThreads - 1) / kThreads));
    launch(sum_2_kernel, grid, kThreads, 0, gpu, n, runs, x, sums);
    if (runs == 1) return;
    n = runs, x = sums;
  }
}

}  // namespace clx::kernels::ladder
