// What: flipped images, their baselines, the score of each and the areas under the curves, as kernels/flip.h
//   says; images f32 or bf16, scores f32.
// Who: flipping: a thread per 4 values of an image, blocks of the second axis are images. Baselines: a block
//   per image (least) or per image and channel (mean). Scores: a warp per row. Areas: a thread per curve.
// Where: registers.
// Limit: memory: an image is read and written, a rank read for each of its pixels.
#include "kernels/flip.h"

#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kValues = 4;

template <class T>
__global__ void __launch_bounds__(kThreads)
    flip_kernel(const FlipShape s, const T* x, const std::int32_t* ranks, const float* baseline, T* y) {
  const std::int64_t k = blockIdx.y, states = s.end - s.begin;
  const std::int64_t n = (s.first + k) / states, step = s.begin + (s.first + k) % states;
  const std::int64_t size = std::int64_t(s.pixels) * s.C;
  const std::int64_t removed = step * s.per_step;
  x += n * size;
  y += k * size;
  ranks += n * (s.channels ? size : s.pixels);
  baseline += n * s.C;
  std::int64_t i = std::int64_t(blockIdx.x) * kThreads * kValues + threadIdx.x;
#pragma unroll
  for (int v = 0; v < kValues; ++v, i += kThreads) {
    if (i >= size) continue;
    const std::int64_t pixel = i / s.C;
    const int c = static_cast<int>(i - pixel * s.C);
    y[i] = ranks[s.channels ? i : pixel] < removed ? T(baseline[c]) : x[i];
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    least_kernel(std::int64_t size, int C, const T* x, float* baseline) {
  x += blockIdx.x * size;
  float least = INFINITY;
  for (std::int64_t i = threadIdx.x; i < size; i += kThreads)
    least = fminf(least, static_cast<float>(x[i]));
  least = -block_max<kThreads>(-least);
  for (int c = threadIdx.x; c < C; c += kThreads)
    baseline[std::int64_t(blockIdx.x) * C + c] = least;
}

template <class T>
__global__ void __launch_bounds__(kThreads) mean_kernel(int pixels, int C, const T* x, float* baseline) {
  x += (std::int64_t(blockIdx.x) * pixels) * C + blockIdx.y;
  double sum = 0;
  for (int p = threadIdx.x; p < pixels; p += kThreads)
    sum += static_cast<double>(static_cast<float>(x[std::int64_t(p) * C]));
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0)
    baseline[std::int64_t(blockIdx.x) * C + blockIdx.y] = static_cast<float>(sum / pixels);
}

__global__ void __launch_bounds__(kThreads) class_score_kernel(int rows,
                                                               int cols,
                                                               std::int64_t first,
                                                               int per_class,
                                                               const float* logits,
                                                               const std::int32_t* classes,
                                                               std::int64_t stride,
                                                               float* score) {
  const std::int64_t i = std::int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (i >= rows) return;  // the whole warp
  const float* z = logits + i * cols;
  const int lane = threadIdx.x % 32;
  float most = -INFINITY;
  for (int j = lane; j < cols; j += 32)
    most = fmaxf(most, z[j]);
  most = warp_max(most);
  double sum = 0;
  for (int j = lane; j < cols; j += 32)
    sum += static_cast<double>(expf(z[j] - most));
  sum = warp_sum(sum);
  if (lane == 0) {
    const std::int64_t n = (first + i) / per_class, s = (first + i) % per_class;
    score[n * stride + s] = static_cast<float>(static_cast<double>(expf(z[classes[n]] - most)) / sum);
  }
}

__device__ double trapezoids(const float* p, int count) {
  double area = 0;
  for (int s = 0; s + 1 < count; ++s)
    area += (static_cast<double>(p[s]) + static_cast<double>(p[s + 1])) / 2;
  return area;
}

__global__ void __launch_bounds__(kThreads)
    curve_areas_kernel(int N, int steps, const float* curves, float* areas) {
  const int n = blockIdx.x * kThreads + threadIdx.x;
  if (n >= N) return;
  const float* p = curves + std::int64_t(n) * (steps + 1);
  const double without = trapezoids(p + 1, steps) / (steps - 1);
  areas[3 * n] = static_cast<float>(without);
  areas[3 * n + 1] = static_cast<float>(trapezoids(p, steps + 1) / steps);
  areas[3 * n + 2] = static_cast<float>(without / static_cast<double>(p[0]));
}

unsigned ceil_div(std::int64_t a, std::int64_t b) {
  return static_cast<unsigned>((a + b - 1) / b);
}

}  // namespace

void flip(const Gpu& gpu,
          const FlipShape& s,
          ConstView x,
          const std::int32_t* ranks,
          const float* baseline,
          View y) {
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t size = std::int64_t(s.pixels) * s.C;
    constexpr int kMostRows = 65535;
    for (int done = 0; done < s.count; done += kMostRows) {
      FlipShape part = s;
      part.first += done;
      part.count = s.count - done < kMostRows ? s.count - done : kMostRows;
      launch(flip_kernel<T>, dim3(ceil_div(size, kThreads * kValues), part.count), kThreads, 0, gpu, part,
             x.as<T>(), ranks, baseline, y.as<T>() + done * size);
    }
  });
}

void flip_baseline(const Gpu& gpu, int N, int pixels, int C, FlipValue value, ConstView x, float* baseline) {
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    if (value == FlipValue::least)
      launch(least_kernel<T>, dim3(N), kThreads, 0, gpu, std::int64_t(pixels) * C, C, x.as<T>(), baseline);
    else
      launch(mean_kernel<T>, dim3(N, C), kThreads, 0, gpu, pixels, C, x.as<T>(), baseline);
  });
}

void class_score(const Gpu& gpu,
                 int rows,
                 int cols,
                 std::int64_t first,
                 int per_class,
                 const float* logits,
                 const std::int32_t* classes,
                 std::int64_t stride,
                 float* score) {
  launch(class_score_kernel, dim3(ceil_div(rows, kThreads / 32)), kThreads, 0, gpu, rows, cols, first,
         per_class, logits, classes, stride, score);
}

void curve_areas(const Gpu& gpu, int N, int steps, const float* curves, float* areas) {
  launch(curve_areas_kernel, dim3(ceil_div(N, kThreads)), kThreads, 0, gpu, N, steps, curves, areas);
}

}  // namespace clx::kernels
