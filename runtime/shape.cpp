#include "runtime/shape.h"

#include <ostream>

#include "runtime/check.h"

namespace clx {

std::int64_t Shape::operator[](int i) const {
  const int axis = i < 0 ? i + rank() : i;
  CLX_CHECK(axis >= 0 && axis < rank(), "shape: expected an axis of ", *this, ", got ", i);
  return dims_[static_cast<std::size_t>(axis)];
}

std::int64_t Shape::size() const {
  std::int64_t n = 1;
  for (const std::int64_t d : dims_)
    n *= d;
  return n;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (int i = 0; i < shape.rank(); ++i)
    out << (i ? "," : "") << shape[i];
  return out << ')';
}

}  // namespace clx
