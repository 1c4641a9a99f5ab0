// What: one step of stochastic gradient descent for all parameter tensors.
// Who: tensors are cut into tiles of 4096 elements; a block of 256 threads takes one tile and finds its
// tensor
//   by bisection in the tiles' running count; a thread takes 4 neighbouring elements at a time.
// Where: registers. The list of tensors is passed by value, ≤ 96 tensors (3.4 KiB) per launch, so it needs no
//   copy to the device and a captured graph keeps it.
// Limit: memory: 20 bytes per parameter with momentum (theta and buffer read and written, gradient read).
#include "kernels/sgd.h"

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kVector = 4, kTile = 4096, kTensors = 96;

/// What one launch updates. Tensor i is tiles first_tile[i] … first_tile[i + 1] − 1.
struct Tensors {
  SgdTensor tensor[kTensors];
  std::int32_t first_tile[kTensors + 1];
  int count;
};
static_assert(sizeof(Tensors) <= 4000, "kernel parameters are limited to 4 KB");

/// The largest i with first_tile[i] ≤ tile; tensors without tiles are not in the list.
__device__ int tensor_of(const Tensors& tensors, int tile) {
  int low = 0, high = tensors.count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (tensors.first_tile[middle] <= tile)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

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
    sgd_kernel(const __grid_constant__ Tensors tensors, SgdConstants constants, const StepState* state) {
  const int index = tensor_of(tensors, blockIdx.x);
  const SgdTensor& t = tensors.tensor[index];
  const float learning_rate = state->learning_rate;
  const bool first_step = state->step == 0;
  const std::int64_t begin = std::int64_t(blockIdx.x - tensors.first_tile[index]) * kTile;
  const std::int64_t end = begin + kTile < t.size ? begin + kTile : t.size;
  const auto address = reinterpret_cast<std::uintptr_t>(t.theta) |
                       reinterpret_cast<std::uintptr_t>(t.gradient) |
                       reinterpret_cast<std::uintptr_t>(t.momentum);
  const std::int64_t whole =
      address % 16 == 0 ? end - (end - begin) % kVector : begin;  // in vectors up to here
#pragma unroll 2
  for (std::int64_t i = begin + threadIdx.x * kVector; i < whole; i += kThreads * kVector)
    update<kVector>(t, constants, learning_rate, first_step, i);
  for (std::int64_t i = whole + threadIdx.x; i < end; i += kThreads)
    update<1>(t, constants, learning_rate, first_step, i);
}

}  // namespace

void sgd_step(
    const Gpu& b, int count, const SgdTensor* tensors, SgdConstants constants, const StepState* state) {
  Tensors list{};
  const auto flush = [&] {
    if (list.count == 0) return;
    launch(sgd_kernel, dim3(list.first_tile[list.count]), dim3(kThreads), 0, b, list, constants, state);
    list.count = 0;
  };
  for (int i = 0; i < count; ++i) {
    if (tensors[i].size == 0) continue;
    const auto tiles = static_cast<std::int32_t>((tensors[i].size + kTile - 1) / kTile);
    list.tensor[list.count] = tensors[i];
    list.first_tile[list.count + 1] = list.first_tile[list.count] + tiles;
    if (++list.count == kTensors) flush();
  }
  flush();
}

}  // namespace clx::kernels
