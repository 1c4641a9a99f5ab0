// The extents of an array.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <utility>
#include <vector>

namespace clx {

/// Extents, outermost first.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {}
  int rank() const { return static_cast<int>(dims_.size()); }
  /// Extent of axis i; negative i counts from the end. Throws Error if there is no such axis.
  std::int64_t operator[](int i) const;
  /// Product of the extents, 1 for a scalar.
  std::int64_t size() const;
  const std::vector<std::int64_t>& dims() const { return dims_; }
  bool operator==(const Shape&) const = default;

 private:
  std::vector<std::int64_t> dims_;
};
std::ostream& operator<<(std::ostream&, const Shape&);

}  // namespace clx
