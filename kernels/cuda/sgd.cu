// What: one step of stochastic gradient descent for all parameter tensors.
// Who: a block of 256 threads takes one tile of 4096 elements of one tensor (tensor_tiles.cuh); a thread
//   takes 4 neighbouring elements at a time.
// Where: registers. The list of tensors is passed by value, ≤ 106 tensors (3.8 KB) per launch, so it needs no
//   copy to the device and a captured graph keeps it.
// Limit: memory: 20 bytes per parameter with momentum (theta and buffer read and written, gradient read).
#include "kernels/sgd.h"

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/tensor_tiles.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kVector = 4;
using SgdTensors = Tensors<SgdTensor>;

template <int V>
__device__ __forceinline__ void update(
    const SgdTensor& t, const SgdConstants& constants, float learning_rate, bool first_step, std::int64_t i) {
  float theta[V], g[V], buffer[V];
  load<V>(t.theta + i, theta);
  load<V>(t.gradient + i, g);
#pragma unroll
  for (int v = 0; v < V; ++v)
    g[v] += constants.weight_decay * theta[v];
  if (t.momentum != nullptr) {
    if (first_step) {
#pragma unroll
      for (int v = 0; v < V; ++v)
        buffer[v] = g[v];
    } else {
      load<V>(t.momentum + i, buffer);
#pragma unroll
      for (int v = 0; v < V; ++v)
        buffer[v] = constants.momentum * buffer[v] + (1 - constants.dampening) * g[v];
    }
    store<V>(t.momentum + i, buffer);
#pragma unroll
    for (int v = 0; v < V; ++v)
      g[v] = constants.nesterov ? g[v] + constants.momentum * buffer[v] : buffer[v];
  }
#pragma unroll
  for (int v = 0; v < V; ++v)
    theta[v] -= learning_rate * g[v];
  store<V>(t.theta + i, theta);
}

__global__ void __launch_bounds__(kThreads)
    sgd_kernel(const __grid_constant__ SgdTensors list, SgdConstants constants, const StepState* state) {
  const Tile tile = tile_of(list, blockIdx.x);
  const SgdTensor& t = list.tensor[tile.tensor];
  const float learning_rate = state->learning_rate;
  const bool first_step = state->step == 0;
  const auto address = reinterpret_cast<std::uintptr_t>(t.theta) |
                       reinterpret_cast<std::uintptr_t>(t.gradient) |
                       reinterpret_cast<std::uintptr_t>(t.momentum);
  const std::int64_t whole =
      address % 16 == 0 ? tile.end - (tile.end - tile.begin) % kVector : tile.begin;  // in vectors up to here
#pragma unroll 2
  for (std::int64_t i = tile.begin + threadIdx.x * kVector; i < whole; i += kThreads * kVector)
    update<kVector>(t, constants, learning_rate, first_step, i);
  for (std::int64_t i = whole + threadIdx.x; i < tile.end; i += kThreads)
    update<1>(t, constants, learning_rate, first_step, i);
}

}  // namespace

void sgd_step(
    const Gpu& b, int count, const SgdTensor* tensors, SgdConstants constants, const StepState* state) {
  for_each_list(count, tensors, [&](const SgdTensors& list) {
    launch(sgd_kernel, dim3(list.first_tile[list.count]), dim3(kThreads), 0, b, list, constants, state);
  });
}

}  // namespace clx::kernels
