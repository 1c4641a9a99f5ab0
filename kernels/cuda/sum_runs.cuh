// The second half of a sum whose terms were cut into runs for different blocks.
// Included by kernels/cuda/*.cu only.
#pragma once

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

/// y[i] = Σ_run partials[run·size + i], in the order of the runs.
inline void sum_runs(const Gpu& gpu, const float* partials, std::int64_t size, int runs, float* y) {
  constexpr int kThreads = 256;
  launch(sum_runs_kernel, dim3(ceil_div(size, kThreads)), kThreads, 0, gpu, partials, size, runs, y);
}

}  // namespace
}  // namespace clx::kernels
