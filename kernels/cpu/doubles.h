// As many doubles at a time as a register of the machine holds (4 if less), and their logarithm.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/bf16.h"

namespace clx::kernels {

#ifdef __AVX512F__
inline constexpr int kDoubles = 8;
#else
inline constexpr int kDoubles = 4;
#endif
using Doubles = double __attribute__((vector_size(8 * kDoubles)));
using Longs = std::int64_t __attribute__((vector_size(8 * kDoubles)));
/// As many numbers of half the size.
using HalfFloats = float __attribute__((vector_size(4 * kDoubles)));
using HalfInts = std::int32_t __attribute__((vector_size(4 * kDoubles)));

inline Doubles load_doubles(const double* p) {
  Doubles v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline Doubles load_doubles(const float* p) {
  HalfFloats v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Doubles);
}
inline Doubles load_doubles(const bf16* p) {
  std::uint16_t __attribute__((vector_size(2 * kDoubles))) half;
  std::memcpy(&half, p, sizeof half);
  using Bits = std::uint32_t __attribute__((vector_size(4 * kDoubles)));
  const Bits bits = __builtin_convertvector(half, Bits) << 16;
  HalfFloats v;
  std::memcpy(&v, &bits, sizeof v);
  return __builtin_convertvector(v, Doubles);
}
/// The first n < kDoubles lanes from memory, zeros after them.
template <class T>
Doubles load_first_doubles(const T* p, int n) {
  T lanes[kDoubles] = {};
  std::memcpy(static_cast<void*>(lanes), p, sizeof(T) * static_cast<std::size_t>(n));
  return load_doubles(lanes);
}

/// Σ of the lanes, from the first to the last.
inline double sum_of_lanes(const Doubles& v) {
  double sum = 0;
  for (int lane = 0; lane < kDoubles; ++lane)
    sum += v[lane];
  return sum;
}

/// ln x to 1e-14 of max(1, |ln x|) for normal positive x; x ≤ 0 and subnormal x count as the least normal.
inline Doubles log_lanes(Doubles x) {
  constexpr double kLn2 = 0.693147180559945309, kRoot = 1.41421356237309505;
  const Doubles least = Doubles{} + 2.2250738585072014e-308;
  x = x > least ? x : least;
  Longs bits;
  std::memcpy(&bits, &x, sizeof bits);
  Longs exponent = (bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffffll) | 0x3ff0000000000000ll;
  Doubles m;  // within 1 … 2
  std::memcpy(&m, &bits, sizeof m);
  const Longs upper = m > kRoot;  // −1 where m is to be halved
  m = upper ? m * 0.5 : m;
  exponent -= upper;
  // ln m = 2·artanh t, t = (m − 1)/(m + 1), |t| ≤ 0.172
  const Doubles t = (m - 1) / (m + 1), q = t * t;
  Doubles series = Doubles{} + 1.0 / 19;
  for (int k = 17; k > 0; k -= 2)
    series = series * q + 1.0 / k;
  return __builtin_convertvector(exponent, Doubles) * kLn2 + 2 * t * series;
}

}  // namespace clx::kernels
