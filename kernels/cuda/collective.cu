// What: the sum of several arrays of one length, in their order.
// Who: blocks of 256 threads stride over the elements; a thread adds the parts of its 4 neighbouring elements
//   (1 where memory is unaligned), first to last.
// Where: registers.
// Limit: memory: 4·(parts + 1) bytes per element.
#include "kernels/collective.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kVector = 4;

template <int V>
__global__ void __launch_bounds__(kThreads)
    sum_parts_kernel(std::int64_t count, int parts, const float* x, float* y) {
  const std::int64_t stride = std::int64_t(gridDim.x) * kThreads * V;
  for (std::int64_t i = (std::int64_t(blockIdx.x) * kThreads + threadIdx.x) * V; i < count; i += stride) {
    float sum[V], value[V];
    load<V>(x + i, sum);
    for (int part = 1; part < parts; ++part) {
      load<V>(x + part * count + i, value);
#pragma unroll
      for (int v = 0; v < V; ++v)
        sum[v] += value[v];
    }
    store<V>(y + i, sum);
  }
}

}  // namespace

void sum_parts(const Gpu& b, std::int64_t count, int parts, const float* x, float* y) {
  if (count == 0) return;
  const auto run = [&](auto width) {
    constexpr int V = width;
    const std::int64_t tile = std::int64_t(kThreads) * V;
    const auto blocks = static_cast<unsigned>(std::min<std::int64_t>((count + tile - 1) / tile, 2048));
    launch(sum_parts_kernel<V>, blocks, dim3(kThreads), 0, b, count, parts, x, y);
  };
  if (count % kVector == 0 && aligned(x, y))
    run(std::integral_constant<int, kVector>{});
  else
    run(std::integral_constant<int, 1>{});
}

}  // namespace clx::kernels
