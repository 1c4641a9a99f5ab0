// The meaning of add.
#pragma once

#include "tests/reference/array.h"

namespace clx::reference {

/// y = a + b.
inline Array add(const Array& a, const Array& b) {
  Array y(a.shape);
  for (std::int64_t i = 0; i < y.size(); ++i)
    y[i] = a[i] + b[i];
  return y;
}

}  // namespace clx::reference
