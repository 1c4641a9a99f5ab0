// The meaning of principal_component: Jacobi rotations until the Gram matrix is diagonal.
#pragma once

#include <cmath>
#include <vector>

#include "tests/reference/array.h"

namespace clx::reference {

/// σ₁·u₁ of sample n of x (N,h,w,C), in one of its two signs.
inline std::vector<double> principal_component(const Array& x, std::int64_t n) {
  const std::int64_t P = x.dim(1) * x.dim(2), C = x.dim(3);
  std::vector<double> centred(x.values.begin() + n * P * C, x.values.begin() + (n + 1) * P * C);
  const auto X = [&](std::int64_t p, std::int64_t k) -> double& {
    return centred[static_cast<std::size_t>(p * C + k)];
  };
  for (std::int64_t k = 0; k < C; ++k) {
    double mean = 0;
    for (std::int64_t p = 0; p < P; ++p)
      mean += X(p, k) / static_cast<double>(P);
    for (std::int64_t p = 0; p < P; ++p)
      X(p, k) -= mean;
  }
  Array g({P, P}), v({P, P});
  for (std::int64_t i = 0; i < P; ++i) {
    v(i, i) = 1;
    for (std::int64_t j = 0; j < P; ++j)
      for (std::int64_t k = 0; k < C; ++k)
        g(i, j) += X(i, k) * X(j, k);
  }
  for (int sweep = 0; sweep < 12; ++sweep)
    for (std::int64_t i = 0; i < P; ++i)
      for (std::int64_t j = i + 1; j < P; ++j) {
        if (g(i, j) == 0) continue;
        const double angle = std::atan2(2 * g(i, j), g(j, j) - g(i, i)) / 2, c = std::cos(angle),
                     s = std::sin(angle);
        const auto rotate = [&](double& a, double& b) {
          const double old = a;
          a = c * old - s * b;
          b = s * old + c * b;
        };
        for (std::int64_t k = 0; k < P; ++k)
          rotate(g(k, i), g(k, j));
        for (std::int64_t k = 0; k < P; ++k) {
          rotate(g(i, k), g(j, k));
          rotate(v(k, i), v(k, j));
        }
      }
  std::int64_t best = 0;
  for (std::int64_t i = 1; i < P; ++i)
    if (g(i, i) > g(best, best)) best = i;
  std::vector<double> y;
  for (std::int64_t i = 0; i < P; ++i)
    y.push_back(std::sqrt(std::max(g(best, best), 0.0)) * v(i, best));
  return y;
}

}  // namespace clx::reference
