// The meaning of softmax and pick.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/reference/array.h"

namespace clx::reference {

/// ln Σ_j exp(x[i,j]), with the largest term taken out so that nothing overflows.
inline double log_sum_exp(const Array& x, std::int64_t i) {
  double largest = x(i, 0), sum = 0;
  for (std::int64_t j = 0; j < x.dim(1); ++j)
    largest = std::max(largest, x(i, j));
  for (std::int64_t j = 0; j < x.dim(1); ++j)
    sum += std::exp(x(i, j) - largest);
  return largest + std::log(sum);
}

/// y[i,j] = exp(x[i,j]) / Σ_k exp(x[i,k]).
inline Array softmax(const Array& x) {
  Array y(x.shape);
  for (std::int64_t i = 0; i < x.dim(0); ++i) {
    const double log_sum = log_sum_exp(x, i);
    for (std::int64_t j = 0; j < x.dim(1); ++j)
      y(i, j) = std::exp(x(i, j) - log_sum);
  }
  return y;
}

/// y[i] = x[i, columns[i]].
inline Array pick(const Array& x, const std::vector<std::int32_t>& columns) {
  Array y({x.dim(0)});
  for (std::int64_t i = 0; i < x.dim(0); ++i)
    y(i) = x(i, columns[static_cast<std::size_t>(i)]);
  return y;
}

}  // namespace clx::reference
