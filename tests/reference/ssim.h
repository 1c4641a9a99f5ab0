// The meaning of ssim: every window on its own.
#pragma once

#include <cmath>
#include <vector>

#include "tests/reference/array.h"

namespace clx::reference {

/// `weights` of the rows and of the columns of a window; variances are multiplied by `covariance`.
inline Array ssim(const Array& a,
                  const Array& b,
                  const std::vector<double>& weights,
                  double covariance,
                  double data_range = 1) {
  const std::int64_t N = a.dim(0), window = static_cast<std::int64_t>(weights.size());
  const double c1 = std::pow(0.01 * data_range, 2), c2 = std::pow(0.03 * data_range, 2);
  Array y({N});
  for (std::int64_t n = 0; n < N; ++n) {
    double total = 0, count = 0;
    for (std::int64_t i = 0; i + window <= a.dim(1); ++i)
      for (std::int64_t j = 0; j + window <= a.dim(2); ++j) {
        const auto mean = [&](auto&& f) {
          double sum = 0;
          for (std::int64_t k = 0; k < window; ++k)
            for (std::int64_t l = 0; l < window; ++l)
              sum += weights[static_cast<std::size_t>(k)] * weights[static_cast<std::size_t>(l)] *
                     f(a(n, i + k, j + l), b(n, i + k, j + l));
          return sum;
        };
        const double ua = mean([](double x, double) { return x; }),
                     ub = mean([](double, double y) { return y; });
        const double va = covariance * mean([&](double x, double) { return (x - ua) * (x - ua); }),
                     vb = covariance * mean([&](double, double y) { return (y - ub) * (y - ub); }),
                     vab = covariance * mean([&](double x, double y) { return (x - ua) * (y - ub); });
        total += (2 * ua * ub + c1) * (2 * vab + c2) / ((ua * ua + ub * ub + c1) * (va + vb + c2));
        ++count;
      }
    y[n] = total / count;
  }
  return y;
}

inline std::vector<double> uniform_weights(int window) {
  return std::vector<double>(static_cast<std::size_t>(window), 1.0 / window);
}

inline std::vector<double> gaussian_weights(int radius, double sigma) {
  std::vector<double> weights;
  double sum = 0;
  for (int k = -radius; k <= radius; ++k)
    sum += weights.emplace_back(std::exp(-k * k / (2 * sigma * sigma)));
  for (double& w : weights)
    w /= sum;
  return weights;
}

}  // namespace clx::reference
