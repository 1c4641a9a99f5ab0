// A pair of maps is one thread's. Five sums per column (of a, b, a², b², ab) move down with the window:
// uniform ones by adding a row and taking one away. A vector of windows of a row is then summed
// from them together.
#include "kernels/ssim.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/doubles.h"
#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

constexpr int kSums = 5;

// The five sums of every column, each row of them followed by zeros that a vector may read.
struct Columns {
  double* sum[kSums];

  static std::size_t stride(const SsimShape& s) { return static_cast<std::size_t>(s.W + 2 * kDoubles); }
  Columns(const SsimShape& s, double* memory) {
    std::memset(memory, 0, kSums * stride(s) * sizeof(double));
    for (int q = 0; q < kSums; ++q)
      sum[q] = memory + q * stride(s);
  }

  // sum += weight·(terms of a row of pixels)
  void add(int W, double weight, const float* __restrict a, const float* __restrict b) {
    double* __restrict s0 = sum[0], * __restrict s1 = sum[1], * __restrict s2 = sum[2], * __restrict s3 = sum[3], * __restrict s4 = sum[4];
    for (int j = 0; j < W; ++j) {
      const double x = static_cast<double>(a[j]), y = static_cast<double>(b[j]);
      const double wx = weight * x, wy = weight * y;
      s0[j] += wx;
      s1[j] += wy;
      s2[j] += wx * x;
      s3[j] += wy * y;
      s4[j] += wx * y;
    }
  }
  void clear(int W) {
    for (double* s : sum)
      std::memset(s, 0, sizeof(double) * static_cast<std::size_t>(W));
  }
};

// What a window's five means amount to.
Doubles similarity(const SsimShape& s, const Doubles (&mean)[kSums]) {
  const Doubles a = mean[0], b = mean[1];
  const Doubles va = s.covariance * (mean[2] - a * a), vb = s.covariance * (mean[3] - b * b),
                vab = s.covariance * (mean[4] - a * b);
  return ((2 * a * b + s.c1) * (2 * vab + s.c2)) / ((a * a + b * b + s.c1) * (va + vb + s.c2));
}

// Σ over the windows of one row. kWindow: of uniform weights, 0 where it is not known here or they are not.
template <int kWindow>
Doubles row_sum(const SsimShape& s, const Columns& columns, Doubles total) {
  const int window = kWindow ? kWindow : s.window(), n = s.columns();
  const double scale = s.uniform ? 1.0 / (window * window) : 1;
  Longs lane;
  for (int i = 0; i < kDoubles; ++i)
    lane[i] = i;
  for (int j = 0; j < n; j += kDoubles) {
    Doubles mean[kSums] = {};
    for (int k = 0; k < window; ++k) {
      if (kWindow || s.uniform) {
        for (int q = 0; q < kSums; ++q)
          mean[q] += load_doubles(columns.sum[q] + j + k);
      } else {
        const double weight = s.weight[k < s.radius ? s.radius - k : k - s.radius];
        for (int q = 0; q < kSums; ++q)
          mean[q] += weight * load_doubles(columns.sum[q] + j + k);
      }
    }
    for (Doubles& m : mean)
      m *= scale;
    const Doubles value = similarity(s, mean);
    total += lane < n - j ? value : Doubles{};
  }
  return total;
}

template <int kWindow>
double map_sum(const SsimShape& s, const float* a, const float* b, Columns columns) {
  Doubles total = {};
  const auto row = [&](const float* map, int i) { return map + static_cast<std::ptrdiff_t>(i) * s.W; };
  for (int i = 0; i < s.rows(); ++i) {
    if (!s.uniform) {
      columns.clear(s.W);
      for (int k = -s.radius; k <= s.radius; ++k)
        columns.add(s.W, s.weight[k < 0 ? -k : k], row(a, i + s.radius + k), row(b, i + s.radius + k));
    } else if (i == 0) {
      for (int k = 0; k < s.window(); ++k)
        columns.add(s.W, 1, row(a, k), row(b, k));
    } else {
      columns.add(s.W, -1, row(a, i - 1), row(b, i - 1));
      columns.add(s.W, 1, row(a, i + s.window() - 1), row(b, i + s.window() - 1));
    }
    total = row_sum<kWindow>(s, columns, total);
  }
  return sum_of_lanes(total);
}

}  // namespace

void ssim(const Cpu& backend, const SsimShape& s, const float* a, const float* b, float* y) {
  const std::size_t room = kSums * Columns::stride(s);
  auto* memory =
      static_cast<double*>(backend.workspace(static_cast<std::size_t>(team_size()) * room * sizeof(double)));
  const std::int64_t pixels = static_cast<std::int64_t>(s.H) * s.W;
  const auto windows = static_cast<double>(static_cast<std::int64_t>(s.rows()) * s.columns());
  parallel_for(s.N, [&](std::int64_t n) {
    const Columns columns(s, memory + static_cast<std::size_t>(team_slot()) * room);
    const float *first = a + n * pixels, *second = b + n * pixels;
    const double sum = s.uniform && s.radius == 3 ? map_sum<7>(s, first, second, columns)
                                                  : map_sum<0>(s, first, second, columns);
    y[n] = static_cast<float>(sum / windows);
  });
}

}  // namespace clx::kernels
