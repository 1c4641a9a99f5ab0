// The test of an op on a device against its reference.
#pragma once

#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <source_location>
#include <vector>

#include "runtime/autograd.h"
#include "runtime/check.h"
#include "tests/arrays.h"

namespace clx::tests {

/// a is close to b if |a − b| ≤ absolute + relative·|b|.
struct Tolerance {
  double absolute = 0, relative = 0;
  bool operator()(double a, double b) const {
    return a == b || std::abs(a - b) <= absolute + relative * std::abs(b);
  }
};

/// Whether every element of `actual` is close to `expected`; otherwise names the element that is furthest
/// off. NaN is close to nothing.
testing::AssertionResult all_close(const Array& actual, const Array& expected, Tolerance tolerance);

/// Whether two tensors hold the same bits; otherwise names the first byte that differs.
testing::AssertionResult same_bits(const Tensor& a, const Tensor& b);

/// One input of an op, its values those of `dtype`.
struct Input {
  Array values;
  DType dtype = DType::f32;
  bool differentiable = true;
};

struct CheckOptions {
  Tolerance f32{1e-5, 1e-5};        // of results and gradients in f32
  Tolerance bf16{1e-5, 1.0 / 256};  // in bf16: one rounding of what was computed in f32
  bool gradient = true;
  unsigned seed = 1;  // of dy and of the elements whose gradient is checked
};

/// Maps an op's inputs to its output, on a device / in double.
using Op = std::function<Tensor(const std::vector<Tensor>&)>;
using Reference = std::function<Array(const std::vector<Array>&)>;

/// Checks that `op` on `device` computes what `reference` does, that its gradient (with a random dy) equals
/// central differences of the reference, that a second run gives the same bits, and that no input is
/// written.
void check_op(Device device,
              const std::vector<Input>& inputs,
              const Op& op,
              const Reference& reference,
              const CheckOptions& options = {},
              std::source_location caller = std::source_location::current());

}  // namespace clx::tests
