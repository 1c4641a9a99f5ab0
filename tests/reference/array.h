// An array of doubles: what the reference implementations compute with.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "runtime/tensor.h"

namespace clx::reference {

/// Dense and row-major. An element is written a(i, j, …), one index per axis.
struct Array {
  Shape shape;
  std::vector<double> values;

  Array() = default;
  explicit Array(Shape shape_) : shape(std::move(shape_)), values(static_cast<std::size_t>(shape.size())) {}
  Array(Shape shape_, std::vector<double> values_) : shape(std::move(shape_)), values(std::move(values_)) {
    assert(shape.size() == static_cast<std::int64_t>(values.size()));
  }

  bool defined() const { return !values.empty(); }
  std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
  std::int64_t dim(int axis) const { return shape[axis]; }

  double& operator[](std::int64_t i) { return values[static_cast<std::size_t>(i)]; }
  double operator[](std::int64_t i) const { return values[static_cast<std::size_t>(i)]; }
  template <class... Index>
  double& operator()(Index... index) {
    return values[offset({static_cast<std::int64_t>(index)...})];
  }
  template <class... Index>
  double operator()(Index... index) const {
    return values[offset({static_cast<std::int64_t>(index)...})];
  }

 private:
  std::size_t offset(std::initializer_list<std::int64_t> index) const {
    const std::vector<std::int64_t>& extents = shape.dims();
    assert(index.size() == extents.size());
    std::int64_t i = 0;
    const std::int64_t* extent = extents.data();
    for (const std::int64_t at : index) {
      assert(0 <= at && at < *extent);
      i = i * *extent++ + at;
    }
    return static_cast<std::size_t>(i);
  }
};

}  // namespace clx::reference
