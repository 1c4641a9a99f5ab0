// What: one step of AdamW or RAdam for all parameter tensors.
// Who: a block of 256 threads takes one tile of 4096 elements of one tensor; a thread takes 4 neighbouring
//   elements at a time. The first thread computes what depends on the step only (two powers by squaring, some
//   70 operations in double) for the whole block.
// Where: registers; 32 bytes of shared memory for the coefficients. The list of tensors is passed by value,
//   ≤ 87 tensors per launch, so it needs no copy to the device and a captured graph keeps it.
// Limit: memory: 28 bytes per parameter (theta and both means read and written, gradient read).
#include "kernels/adam.h"

#include <cstdint>

#include "kernels/adam_coefficients.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/tensor_tiles.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kVector = 4;
using AdamTensors = Tensors<AdamTensor>;

template <int V>
__device__ __forceinline__ void update(const AdamTensor& t, const AdamCoefficients& k, std::int64_t i) {
  float theta[V], g[V], m[V], v[V];
  load<V>(t.theta + i, theta);
  load<V>(t.gradient + i, g);
  load<V>(t.mean + i, m);
  load<V>(t.square + i, v);
#pragma unroll
  for (int j = 0; j < V; ++j) {
    theta[j] *= k.shrink;
    g[j] += k.weight_decay * theta[j];
    m[j] += k.take1 * (g[j] - m[j]);
    v[j] = k.keep2 * v[j] + k.take2 * (g[j] * g[j]);
    theta[j] -= k.rate * (k.rectified ? m[j] / (sqrtf(v[j]) + k.epsilon) : m[j]);
  }
  store<V>(t.mean + i, m);
  store<V>(t.square + i, v);
  store<V>(t.theta + i, theta);
}

__global__ void __launch_bounds__(kThreads) adam_kernel(const __grid_constant__ AdamTensors list,
                                                        AdamKind kind,
                                                        AdamConstants constants,
                                                        const StepState* state) {
  CLX_SHARED(AdamCoefficients, shared, [1]);
  if (threadIdx.x == 0) shared[0] = adam_coefficients(kind, constants, *state);
  __syncthreads();  // the coefficients are there
  const AdamCoefficients k = shared[0];
  const Tile tile = tile_of(list, blockIdx.x);
  const AdamTensor& t = list.tensor[tile.tensor];
  const auto address = reinterpret_cast<std::uintptr_t>(t.theta) |
                       reinterpret_cast<std::uintptr_t>(t.gradient) |
                       reinterpret_cast<std::uintptr_t>(t.mean) | reinterpret_cast<std::uintptr_t>(t.square);
  const std::int64_t whole =
      address % 16 == 0 ? tile.end - (tile.end - tile.begin) % kVector : tile.begin;  // in vectors up to here
#pragma unroll 2
  for (std::int64_t i = tile.begin + threadIdx.x * kVector; i < whole; i += kThreads * kVector)
    update<kVector>(t, k, i);
  for (std::int64_t i = whole + threadIdx.x; i < tile.end; i += kThreads)
    update<1>(t, k, i);
}

void step(const Gpu& b,
          AdamKind kind,
          int count,
          const AdamTensor* tensors,
          const AdamConstants& constants,
          const StepState* state) {
  for_each_list(count, tensors, [&](const AdamTensors& list) {
    launch(adam_kernel, dim3(list.first_tile[list.count]), dim3(kThreads), 0, b, list, kind, constants,
           state);
  });
}

}  // namespace

void adamw_step(
    const Gpu& b, int count, const AdamTensor* tensors, const AdamConstants& c, const StepState* state) {
  step(b, AdamKind::adamw, count, tensors, c, state);
}

void radam_step(
    const Gpu& b, int count, const AdamTensor* tensors, const AdamConstants& c, const StepState* state) {
  step(b, AdamKind::radam, count, tensors, c, state);
}

}  // namespace clx::kernels
