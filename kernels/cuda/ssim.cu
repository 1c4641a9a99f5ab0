// What: the structural similarity of N pairs of maps, as kernels/ssim.h says; f32 in, f64 throughout.
// Who: a block per pair, band of 32 rows of windows and strip of 128 columns; a thread per column keeps five
//   sums (of a, b, a², b², ab) that move down with the window: uniform ones by adding a pixel and taking one
//   away. A thread then adds the columns of its window. A thread per pair adds the blocks' sums in order.
// Where: the columns' sums in shared memory, two rows of them (10 KiB), so that one barrier a row is enough.
// Limit: f64 arithmetic and shared memory: 5·(2·radius + 1) loads and additions per window.
#include "kernels/ssim.h"

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 128, kBand = 32, kSums = 5;

/// sum += weight·(a, b, a², b², ab)
__device__ __forceinline__ void add_pixel(double weight, float a, float b, double (&sum)[kSums]) {
  const double x = a, y = b, wx = weight * x, wy = weight * y;
  sum[0] += wx;
  sum[1] += wy;
  sum[2] += wx * x;
  sum[3] += wy * y;
  sum[4] += wx * y;
}

__device__ __forceinline__ double similarity(const SsimShape& s, const double (&mean)[kSums]) {
  const double a = mean[0], b = mean[1];
  const double va = s.covariance * (mean[2] - a * a), vb = s.covariance * (mean[3] - b * b),
               vab = s.covariance * (mean[4] - a * b);
  return ((2 * a * b + s.c1) * (2 * vab + s.c2)) / ((a * a + b * b + s.c1) * (va + vb + s.c2));
}

__global__ void __launch_bounds__(kThreads)
    ssim_kernel(const SsimShape s, int strips, const float* a, const float* b, double* partial) {
  CLX_SHARED(double, columns, [2][kSums][kThreads]);
  const int window = s.window(), wide = kThreads - 2 * s.radius;  // windows of a strip
  const int strip = blockIdx.x % strips, i0 = blockIdx.x / strips * kBand, t = threadIdx.x;
  const int j = strip * wide + t;  // the column, and that of the window which begins there
  const bool inside = j < s.W, mine = t < wide && j < s.columns();
  const std::int64_t map = std::int64_t(blockIdx.y) * s.H * s.W + j;
  const double scale = s.uniform ? 1.0 / (window * window) : 1;
  const auto add_row = [&](int row, double weight, double(&sum)[kSums]) {
    const std::int64_t at = map + std::int64_t(row) * s.W;
    add_pixel(weight, a[at], b[at], sum);
  };
  double sum[kSums] = {}, total = 0;
  const int end = i0 + kBand < s.rows() ? i0 + kBand : s.rows();
  for (int i = i0; i < end; ++i) {
    if (inside) {
      if (!s.uniform) {
        for (double& q : sum)
          q = 0;
        for (int k = 0; k < window; ++k)
          add_row(i + k, s.weight[k < s.radius ? s.radius - k : k - s.radius], sum);
      } else if (i == i0) {
        for (int k = 0; k < window; ++k)
          add_row(i + k, 1, sum);
      } else {
        add_row(i - 1, -1, sum);
        add_row(i + window - 1, 1, sum);
      }
    }
    double(&row)[kSums][kThreads] = columns[i % 2];
#pragma unroll
    for (int q = 0; q < kSums; ++q)
      row[q][t] = sum[q];
    __syncthreads();  // this row's sums are written; those of the row before may be overwritten
    if (mine) {
      double mean[kSums] = {};
      for (int k = 0; k < window; ++k) {
        const double weight = s.uniform ? scale : s.weight[k < s.radius ? s.radius - k : k - s.radius];
#pragma unroll
        for (int q = 0; q < kSums; ++q)
          mean[q] += weight * row[q][t + k];
      }
      total += similarity(s, mean);
    }
  }
  total = block_sum<kThreads>(total);
  if (t == 0) partial[std::int64_t(blockIdx.y) * gridDim.x + blockIdx.x] = total;
}

__global__ void __launch_bounds__(kThreads)
    mean_kernel(int N, int blocks, double windows, const double* partial, float* y) {
  const int n = blockIdx.x * kThreads + threadIdx.x;
  if (n >= N) return;
  double sum = 0;
  for (int k = 0; k < blocks; ++k)
    sum += partial[std::int64_t(n) * blocks + k];
  y[n] = static_cast<float>(sum / windows);
}

}  // namespace

void ssim(const Gpu& gpu, const SsimShape& s, const float* a, const float* b, float* y) {
  const int wide = kThreads - 2 * s.radius, strips = (s.columns() + wide - 1) / wide;
  const int blocks = strips * ((s.rows() + kBand - 1) / kBand);
  auto* partial = static_cast<double*>(gpu.workspace(sizeof(double) * s.N * blocks));
  for (int n = 0; n < s.N; n += 65535) {
    const int count = s.N - n < 65535 ? s.N - n : 65535;
    const std::int64_t at = std::int64_t(n) * s.H * s.W;
    launch(ssim_kernel, dim3(blocks, count), kThreads, 0, gpu, s, strips, a + at, b + at,
           partial + std::int64_t(n) * blocks);
  }
  launch(mean_kernel, dim3((s.N + kThreads - 1) / kThreads), kThreads, 0, gpu, s.N, blocks,
         double(s.rows()) * s.columns(), partial, y);
}

}  // namespace clx::kernels
