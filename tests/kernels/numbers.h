// Numbers in either activation type and their comparison, for the tests of the CPU kernels.
#pragma once

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "tests/kernels/scratch.h"

namespace clx::kernels {

using Doubles = std::vector<double>;

// Numbers in f32 or bf16, as memory for kernels and as what it holds.
class Numbers {
 public:
  Numbers(DType dtype, std::size_t n) : dtype_(dtype), n_(n), memory_(n) {}
  Numbers(DType dtype, const Doubles& values) : Numbers(dtype, values.size()) {
    for (std::size_t i = 0; i < n_; ++i)
      if (dtype_ == DType::f32)
        memory_[i] = static_cast<float>(values[i]);
      else
        reinterpret_cast<bf16*>(memory_.data())[i] = bf16(static_cast<float>(values[i]));
  }
  View view() { return {memory_.data(), dtype_}; }
  float* floats() { return memory_.data(); }
  Doubles values() const {
    Doubles all(n_);
    for (std::size_t i = 0; i < n_; ++i)
      all[i] = static_cast<double>(
          dtype_ == DType::f32 ? memory_[i]
                               : static_cast<float>(reinterpret_cast<const bf16*>(memory_.data())[i]));
    return all;
  }

 private:
  DType dtype_;
  std::size_t n_;
  std::vector<float> memory_;
};

inline Doubles normal(std::size_t n, unsigned seed, double mean = 0, double std = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> distribution(mean, std);
  Doubles values(n);
  for (double& v : values)
    v = distribution(engine);
  return values;
}

inline Doubles integers(std::size_t n, unsigned seed, int largest) {
  std::mt19937 engine(seed);
  std::uniform_int_distribution<int> distribution(-largest, largest);
  Doubles values(n);
  for (double& v : values)
    v = distribution(engine);
  return values;
}

inline void expect_near(const Doubles& got,
                        const Doubles& expected,
                        double tolerance,
                        const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  double worst = -1;
  std::size_t at = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]) / (1 + std::abs(expected[i]));
    if (!(error <= worst)) {
      worst = error;
      at = i;
    }
  }
  EXPECT_LE(worst, tolerance) << what << ": at " << at << " of " << got.size() << " got " << got[at]
                              << ", expected " << expected[at];
}

// The same for sums whose terms cancel: rounding errors have the size of the largest sum, not of each.
inline void expect_near_sums(const Doubles& got,
                             const Doubles& expected,
                             double tolerance,
                             const std::string& what) {
  double largest = 0;
  for (const double v : expected)
    largest = std::max(largest, std::abs(v));
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_LE(std::abs(got[i] - expected[i]), tolerance * largest) << what << ": at " << i;
}

// One rounding to the type, and sums in f32.
inline double tolerance_of(DType dtype) {
  return dtype == DType::f32 ? 1e-5 : 0x1p-8;
}

}  // namespace clx::kernels
