// The second half of a sum whose terms were cut into runs for different blocks.
// Included by kernels/cuda/*.cu only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/tile_operand.cuh"

namespace clx::kernels {
namespace {

__global__ void sum_runs_kernel(const float* __restrict__ partials, std::int64_t size, int runs, float* y) {
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  float sum = 0;
  for (int run = 0; run < runs; ++run)
    sum += partials[run * size + i];
  y[i] = sum;
}

struct Cut {
  int runs, length;  // length in steps; the last may be shorter
};

/// Cuts a sum of `steps` steps into runs so that `tiles` times their number fills a large GPU twice, no run
/// is shorter than 16 steps, and the partial sums of `size` results stay below 64 MiB. It depends on the
/// shape alone, so the sums repeat bit for bit.
inline Cut cut_into_runs(std::int64_t size, std::int64_t tiles, std::int64_t steps) {
  const std::int64_t wanted = ceil_div(264, tiles), longest = steps / 16;
  const std::int64_t most = std::max<std::int64_t>(1, (64 << 20) / (size * std::int64_t(sizeof(float))));
  const std::int64_t runs = std::clamp<std::int64_t>(std::min(wanted, longest), 1, most);
  const std::int64_t length = ceil_div(steps, runs);
  return {static_cast<int>(ceil_div(steps, length)), static_cast<int>(length)};
}

/// y[i] = Σ_run partials[run·size + i], in the order of the runs.
inline void sum_runs(const Gpu& gpu, const float* partials, std::int64_t size, int runs, float* y) {
  constexpr int kThreads = 256;
  launch(sum_runs_kernel, dim3(ceil_div(size, kThreads)), kThreads, 0, gpu, partials, size, runs, y);
}

}  // namespace
}  // namespace clx::kernels
