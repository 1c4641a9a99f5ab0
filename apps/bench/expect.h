// What the checks of the benchmarks share: inputs, and the comparison with a sum of doubles.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace clx::app {

/// Uniform in [−1,1), rounded to `dtype`. The same values for the same seed and shape.
Tensor random_tensor(const Shape& shape, Device device, DType dtype, std::uint64_t seed);

/// The values of an f32 or bf16 tensor.
std::vector<double> values(const Tensor& tensor);

/// x rounded to `dtype`.
double rounded_to(DType dtype, double x);

/// `count` positions below `size`, the same in every run; all of them if there are fewer.
std::vector<std::int64_t> some_of(std::int64_t size, int count = 64);

/// A sum and the sum of its terms' magnitudes, to which rounding errors are proportional.
struct Sum {
  double value = 0, magnitude = 0;
  void add(double term) {
    value += term;
    magnitude += std::abs(term);
  }
};

/// Throws Error unless |actual − expected| ≤ tolerance·magnitude, and one rounding more for bf16.
void expect_close(const std::string& what,
                  std::int64_t index,
                  double actual,
                  const Sum& expected,
                  DType dtype,
                  double tolerance = 1e-5);

}  // namespace clx::app
