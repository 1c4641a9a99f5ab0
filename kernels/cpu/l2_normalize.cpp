#include "kernels/l2_normalize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

template <class F>
void for_rows(int rows, int cols, F&& f) {
  const std::int64_t together = std::max(1, 4096 / cols);
  parallel_ranges(rows, together, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      f(i);
  });
}

double dot(int n, const float* a, const float* b) {
  constexpr int kSums = 8;
  double sum[kSums] = {};
  int j = 0;
  for (; j + kSums <= n; j += kSums)
    for (int k = 0; k < kSums; ++k)
      sum[k] += static_cast<double>(a[j + k]) * static_cast<double>(b[j + k]);
  for (; j < n; ++j)
    sum[0] += static_cast<double>(a[j]) * static_cast<double>(b[j]);
  double total = 0;
  for (const double part : sum)
    total += part;
  return total;
}

}  // namespace

void l2_normalize_forward(const Cpu&, int rows, int cols, const float* x, float* y, float* norm) {
  for_rows(rows, cols, [&](std::int64_t i) {
    const float* from = x + i * cols;
    const auto length = static_cast<float>(std::sqrt(dot(cols, from, from)));
    norm[i] = length < kShortestRow ? kShortestRow : length;  // NaN stays NaN
    for (int j = 0; j < cols; ++j)
      y[i * cols + j] = from[j] / norm[i];
  });
}

void l2_normalize_backward(
    const Cpu&, int rows, int cols, const float* y, const float* norm, const float* dy, float* dx) {
  for_rows(rows, cols, [&](std::int64_t i) {
    const float *unit = y + i * cols, *g = dy + i * cols;
    const float along = norm[i] <= kShortestRow ? 0 : static_cast<float>(dot(cols, unit, g));
    for (int j = 0; j < cols; ++j)
      dx[i * cols + j] = (g[j] - unit[j] * along) / norm[i];
  });
}

}  // namespace clx::kernels
