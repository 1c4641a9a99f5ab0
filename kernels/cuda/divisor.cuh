// Integer division by a number that a whole launch shares, as one multiplication and one shift.
// Included by kernels/cuda/*.cu only.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"

namespace clx::kernels {
namespace {

/// n / d for 0 ≤ n < 2³¹ and 1 ≤ d < 2³¹. With s = ⌈log₂ d⌉ and m = ⌈2^(31+s)/d⌉ the quotient is exactly
/// ⌊n·m / 2^(31+s)⌋: the error n·(m·d − 2^(31+s)) stays below 2^(31+s). (Granlund and Montgomery, 1994.)
struct Divisor {
  int d = 1;
  unsigned multiplier = 1u << 31;
  int shift = 31;

  Divisor() = default;
  explicit Divisor(int d_) : d(d_) {
    int s = 0;
    while ((std::int64_t(1) << s) < d)
      ++s;
    shift = 31 + s;
    multiplier = static_cast<unsigned>(((std::uint64_t(1) << shift) + d - 1) / d);
  }
  __device__ __forceinline__ int quotient(int n) const {
    return static_cast<int>((std::uint64_t(static_cast<unsigned>(n)) * multiplier) >> shift);
  }
};

}  // namespace
}  // namespace clx::kernels
