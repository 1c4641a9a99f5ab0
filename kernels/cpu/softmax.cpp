#include "kernels/softmax.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

std::int64_t rows_per_range(int cols) {
  return std::max(1, 4096 / std::max(1, cols));
}

template <class F>
void for_rows(int rows, int cols, F&& f) {
  parallel_ranges(rows, rows_per_range(cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      f(i);
  });
}

// y = softmax(x) of one row; returns log Σ exp(x − max) and the place of the first maximum.
struct RowSoftmax {
  float max;
  double log_sum;
  int argmax;
};
RowSoftmax softmax_row(int cols, const float* x, float* y) {
  const int argmax = static_cast<int>(std::max_element(x, x + cols) - x);
  const float max = x[argmax];
  double sum = 0;
  for (int j = 0; j < cols; ++j) {
    y[j] = std::exp(x[j] - max);
    sum += static_cast<double>(y[j]);
  }
  const auto scale = static_cast<float>(1 / sum);
  for (int j = 0; j < cols; ++j)
    y[j] *= scale;
  return {max, std::log(sum), argmax};
}

}  // namespace

void softmax_forward(const Cpu&, int rows, int cols, const float* x, float* y) {
  for_rows(rows, cols, [&](std::int64_t i) { softmax_row(cols, x + i * cols, y + i * cols); });
}

void softmax_backward(const Cpu&, int rows, int cols, const float* y, const float* dy, float* dx) {
  for_rows(rows, cols, [&](std::int64_t i) {
    const float *yi = y + i * cols, *gi = dy + i * cols;
    double dot = 0;
    for (int j = 0; j < cols; ++j)
      dot += static_cast<double>(yi[j]) * static_cast<double>(gi[j]);
    for (int j = 0; j < cols; ++j)
      dx[i * cols + j] = yi[j] * (gi[j] - static_cast<float>(dot));
  });
}

void cross_entropy_forward(const Cpu& backend,
                           int N,
                           int K,
                           const float* logits,
                           const std::int32_t* labels,
                           float smoothing,
                           float* p,
                           float* loss,
                           std::int32_t* correct) {
  auto* row_loss = static_cast<double*>(backend.workspace(sizeof(double) * N));
  auto* row_hit = static_cast<std::uint8_t*>(backend.workspace(N));
  for_rows(N, K, [&](std::int64_t i) {
    const float* x = logits + i * K;
    const RowSoftmax row = softmax_row(K, x, p + i * K);
    // −log p_k = log Σ exp(x − max) − (x_k − max)
    double sum = 0;
    if (smoothing != 0)
      for (int k = 0; k < K; ++k)
        sum += static_cast<double>(x[k] - row.max);
    const double s = static_cast<double>(smoothing);
    row_loss[i] = row.log_sum - (1 - s) * static_cast<double>(x[labels[i]] - row.max) - s / K * sum;
    row_hit[i] = row.argmax == labels[i];
  });
  double total = 0;
  std::int32_t hits = 0;
  for (int i = 0; i < N; ++i) {
    total += row_loss[i];
    hits += row_hit[i];
  }
  *loss = static_cast<float>(total / N);
  *correct = hits;
}

void cross_entropy_backward(const Cpu&,
                            int N,
                            int K,
                            const float* p,
                            const std::int32_t* labels,
                            float smoothing,
                            const float* dloss,
                            float* dlogits) {
  const float scale = *dloss / static_cast<float>(N), other = smoothing / static_cast<float>(K);
  for_rows(N, K, [&](std::int64_t i) {
    const float* pi = p + i * K;
    float* di = dlogits + i * K;
    for (int k = 0; k < K; ++k)
      di[k] = (pi[k] - other) * scale;
    const int label = labels[i];
    di[label] = (pi[label] - other - (1 - smoothing)) * scale;
  });
}

void pick_forward(const Cpu&, int rows, int cols, const float* x, const std::int32_t* columns, float* y) {
  for (std::int64_t i = 0; i < rows; ++i)
    y[i] = x[i * cols + columns[i]];
}

void pick_backward(const Cpu&, int rows, int cols, const std::int32_t* columns, const float* dy, float* dx) {
  std::fill_n(dx, std::int64_t(rows) * cols, 0.0f);
  for (std::int64_t i = 0; i < rows; ++i)
    dx[i * cols + columns[i]] = dy[i];
}

}  // namespace clx::kernels
