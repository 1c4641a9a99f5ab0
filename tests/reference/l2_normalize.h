// The meaning of l2_normalize.
#pragma once

#include <algorithm>
#include <cmath>

#include "tests/reference/array.h"

namespace clx::reference {

/// Each row divided by its length, or by 1e-12 if that is larger.
inline Array l2_normalize(const Array& x) {
  Array y(x.shape);
  for (std::int64_t i = 0; i < x.dim(0); ++i) {
    double squares = 0;
    for (std::int64_t j = 0; j < x.dim(1); ++j)
      squares += x(i, j) * x(i, j);
    for (std::int64_t j = 0; j < x.dim(1); ++j)
      y(i, j) = x(i, j) / std::max(std::sqrt(squares), 1e-12);
  }
  return y;
}

}  // namespace clx::reference
