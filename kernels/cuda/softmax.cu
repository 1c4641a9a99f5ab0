// What: softmax over the rows of x (rows,cols), cross-entropy on top of it, and the choice of one column per
//   row; f32.
// Who: a warp per row, 4 warps per block; lane l takes columns l, l + 32, …, three passes over the row. The
//   losses of the rows are then added by one block, in a fixed order.
// Where: registers; the row is read again from the caches. One float and one int per row in the workspace.
// Limit: latency: the matrices are small (a batch of rows, ten to a thousand classes).
#include "kernels/softmax.h"

#include <cmath>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"

namespace clx::kernels {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps, kSumThreads = 256;

__device__ __forceinline__ int warp_row() {
  return static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
}
__device__ __forceinline__ int lane() {
  return static_cast<int>(threadIdx.x) % 32;
}

/// max_k x[k] and Σ_k exp(x[k] − m), in every lane.
__device__ __forceinline__ float row_max(const float* x, int cols) {
  float m = -INFINITY;
  for (int j = lane(); j < cols; j += 32)
    m = fmaxf(m, x[j]);
  return warp_max(m);
}
__device__ __forceinline__ float row_sum_exp(const float* x, int cols, float m) {
  float sum = 0;
  for (int j = lane(); j < cols; j += 32)
    sum += expf(x[j] - m);
  return warp_sum(sum);
}

__global__ void __launch_bounds__(kThreads)
    softmax_forward_kernel(int rows, int cols, const float* x, float* y) {
  const int row = warp_row();
  if (row >= rows) return;  // the whole warp
  x += std::int64_t(row) * cols;
  y += std::int64_t(row) * cols;
  const float m = row_max(x, cols), sum = row_sum_exp(x, cols, m);
  for (int j = lane(); j < cols; j += 32)
    y[j] = expf(x[j] - m) / sum;
}

__global__ void __launch_bounds__(kThreads)
    softmax_backward_kernel(int rows, int cols, const float* y, const float* dy, float* dx) {
  const int row = warp_row();
  if (row >= rows) return;  // the whole warp
  const std::int64_t i = std::int64_t(row) * cols;
  float dot = 0;
  for (int j = lane(); j < cols; j += 32)
    dot += y[i + j] * dy[i + j];
  dot = warp_sum(dot);
  for (int j = lane(); j < cols; j += 32)
    dx[i + j] = y[i + j] * (dy[i + j] - dot);
}

__global__ void __launch_bounds__(kThreads) cross_entropy_rows_kernel(int N,
                                                                      int K,
                                                                      const float* logits,
                                                                      const std::int32_t* labels,
                                                                      float smoothing,
                                                                      float* p,
                                                                      float* row_loss,
                                                                      std::int32_t* row_correct) {
  const int row = warp_row();
  if (row >= N) return;  // the whole warp
  const float* x = logits + std::int64_t(row) * K;
  p += std::int64_t(row) * K;
  const int label = labels[row];
  const float m = row_max(x, K), sum = row_sum_exp(x, K, m), at_label = x[label];
  float distance = 0;  // Σ_k (x[k] − m)
  bool wins = true;    // the label is ahead of every earlier column and at least level with every later one
  for (int j = lane(); j < K; j += 32) {
    p[j] = expf(x[j] - m) / sum;
    distance += x[j] - m;
    wins = wins && (j < label ? x[j] < at_label : x[j] <= at_label);
  }
  wins = __all_sync(kAllLanes, wins);
  const float log_sum = logf(sum);
  float loss = (1 - smoothing) * (log_sum - (at_label - m));
  distance = warp_sum(distance);
  if (smoothing != 0) loss += smoothing * (log_sum - distance / static_cast<float>(K));
  if (lane() == 0) {
    row_loss[row] = loss;
    row_correct[row] = wins ? 1 : 0;
  }
}

/// One block: loss = Σ row_loss/N, correct = Σ row_correct.
__global__ void __launch_bounds__(kSumThreads) cross_entropy_sum_kernel(
    int N, const float* row_loss, const std::int32_t* row_correct, float* loss, std::int32_t* correct) {
  float sum = 0;
  std::int32_t count = 0;
  for (int i = threadIdx.x; i < N; i += kSumThreads) {
    sum += row_loss[i];
    count += row_correct[i];
  }
  sum = block_sum<kSumThreads>(sum);
  count = block_sum<kSumThreads>(count);
  if (threadIdx.x == 0) {
    *loss = sum / static_cast<float>(N);
    *correct = count;
  }
}

__global__ void __launch_bounds__(kThreads) cross_entropy_backward_kernel(int N,
                                                                          int K,
                                                                          const float* p,
                                                                          const std::int32_t* labels,
                                                                          float smoothing,
                                                                          const float* dloss,
                                                                          float* dlogits) {
  const int row = warp_row();
  if (row >= N) return;
  const std::int64_t i = std::int64_t(row) * K;
  const float scale = *dloss / static_cast<float>(N), rest = smoothing / static_cast<float>(K);
  const int label = labels[row];
  for (int j = lane(); j < K; j += 32) {
    const float q = rest + (j == label ? 1 - smoothing : 0);
    dlogits[i + j] = (p[i + j] - q) * scale;
  }
}

__global__ void __launch_bounds__(kThreads)
    pick_forward_kernel(int rows, int cols, const float* x, const std::int32_t* columns, float* y) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < rows) y[row] = x[std::int64_t(row) * cols + columns[row]];
}

__global__ void __launch_bounds__(kThreads)
    pick_backward_kernel(int rows, int cols, const std::int32_t* columns, const float* dy, float* dx) {
  const int row = warp_row();
  if (row >= rows) return;
  for (int j = lane(); j < cols; j += 32)
    dx[std::int64_t(row) * cols + j] = j == columns[row] ? dy[row] : 0;
}

dim3 warp_rows(int rows) {
  return dim3((rows + kWarps - 1) / kWarps);
}

}  // namespace

void softmax_forward(const Gpu& b, int rows, int cols, const float* x, float* y) {
  launch(softmax_forward_kernel, warp_rows(rows), dim3(kThreads), 0, b, rows, cols, x, y);
}

void softmax_backward(const Gpu& b, int rows, int cols, const float* y, const float* dy, float* dx) {
  launch(softmax_backward_kernel, warp_rows(rows), dim3(kThreads), 0, b, rows, cols, y, dy, dx);
}

void cross_entropy_forward(const Gpu& b,
                           int N,
                           int K,
                           const float* logits,
                           const std::int32_t* labels,
                           float smoothing,
                           float* p,
                           float* loss,
                           std::int32_t* correct) {
  auto* row_loss = static_cast<float*>(b.workspace(sizeof(float) * N));
  auto* row_correct = static_cast<std::int32_t*>(b.workspace(sizeof(std::int32_t) * N));
  launch(cross_entropy_rows_kernel, warp_rows(N), dim3(kThreads), 0, b, N, K, logits, labels, smoothing, p,
         row_loss, row_correct);
  launch(cross_entropy_sum_kernel, dim3(1), dim3(kSumThreads), 0, b, N, row_loss, row_correct, loss, correct);
}

void cross_entropy_backward(const Gpu& b,
                            int N,
                            int K,
                            const float* p,
                            const std::int32_t* labels,
                            float smoothing,
                            const float* dloss,
                            float* dlogits) {
  launch(cross_entropy_backward_kernel, warp_rows(N), dim3(kThreads), 0, b, N, K, p, labels, smoothing, dloss,
         dlogits);
}

void pick_forward(const Gpu& b, int rows, int cols, const float* x, const std::int32_t* columns, float* y) {
  const dim3 grid((rows + kThreads - 1) / kThreads);
  launch(pick_forward_kernel, grid, dim3(kThreads), 0, b, rows, cols, x, columns, y);
}

void pick_backward(
    const Gpu& b, int rows, int cols, const std::int32_t* columns, const float* dy, float* dx) {
  launch(pick_backward_kernel, warp_rows(rows), dim3(kThreads), 0, b, rows, cols, columns, dy, dx);
}

}  // namespace clx::kernels
