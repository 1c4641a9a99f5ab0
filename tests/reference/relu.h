// The meaning of relu.
#pragma once

#include <algorithm>

#include "tests/reference/array.h"

namespace clx::reference {

/// y = max(x, 0).
inline Array relu(const Array& x) {
  Array y(x.shape);
  for (std::int64_t i = 0; i < y.size(); ++i)
    y[i] = std::max(x[i], 0.0);
  return y;
}

}  // namespace clx::reference
