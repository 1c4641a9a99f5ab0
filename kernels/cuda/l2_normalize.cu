// What: y_i = x_i/max(‖x_i‖, 1e-12) for the rows of x (rows,cols), and its gradient; f32.
// Who: a warp per row, 4 warps per block; lane l takes columns l, l + 32, …, in two passes over the row.
// Where: registers; the second pass reads the row from the caches.
// Limit: memory; for the small batches of a training step the launch.
#include "kernels/l2_normalize.h"

#include <cmath>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"

namespace clx::kernels {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;

/// Σ_j a[j]·b[j], in every lane of the warp.
__device__ __forceinline__ double row_dot(const float* a, const float* b, int cols, int lane) {
  double sum = 0;
  for (int j = lane; j < cols; j += 32)
    sum += static_cast<double>(a[j]) * static_cast<double>(b[j]);
  return warp_sum(sum);
}

__global__ void __launch_bounds__(kThreads)
    l2_normalize_forward_kernel(int rows, int cols, const float* x, float* y, float* norm) {
  const int row = blockIdx.x * kWarps + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;  // the whole warp
  x += std::int64_t(row) * cols;
  y += std::int64_t(row) * cols;
  const float length = static_cast<float>(sqrt(row_dot(x, x, cols, lane)));
  const float divisor = length < kShortestRow ? kShortestRow : length;  // NaN stays NaN
  for (int j = lane; j < cols; j += 32)
    y[j] = x[j] / divisor;
  if (lane == 0) norm[row] = divisor;
}

__global__ void __launch_bounds__(kThreads) l2_normalize_backward_kernel(
    int rows, int cols, const float* y, const float* norm, const float* dy, float* dx) {
  const int row = blockIdx.x * kWarps + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;  // the whole warp
  y += std::int64_t(row) * cols;
  dy += std::int64_t(row) * cols;
  dx += std::int64_t(row) * cols;
  const float divisor = norm[row];
  const double dot = row_dot(y, dy, cols, lane);
  const float along = divisor <= kShortestRow ? 0.f : static_cast<float>(dot);
  for (int j = lane; j < cols; j += 32)
    dx[j] = (dy[j] - y[j] * along) / divisor;
}

dim3 blocks(int rows) {
  return dim3((rows + kWarps - 1) / kWarps);
}

}  // namespace

void l2_normalize_forward(const Gpu& b, int rows, int cols, const float* x, float* y, float* norm) {
  launch(l2_normalize_forward_kernel, blocks(rows), dim3(kThreads), 0, b, rows, cols, x, y, norm);
}

void l2_normalize_backward(
    const Gpu& b, int rows, int cols, const float* y, const float* norm, const float* dy, float* dx) {
  launch(l2_normalize_backward_kernel, blocks(rows), dim3(kThreads), 0, b, rows, cols, y, norm, dy, dx);
}

}  // namespace clx::kernels
