// Arithmetic as inexact as a GPU's may be (Config::rough): what passes with it does not lean on the host's.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace clx::emulator {

/// c + Σ a[k]·b[k·stride], eight exact products at a time: the terms are cut off one bit below the last bit
/// of the largest, and so is the sum to a float. This is A100; H100 keeps more. Source: Fasi, Higham,
/// Mikaitis, Pranesh, "Numerical behavior of NVIDIA tensor cores", 2021.
inline float rough_sum(float c, const float* a, const float* b, int count, int stride) {
  constexpr int kTogether = 8;
  for (int first = 0; first < count; first += kTogether) {
    const int end = std::min(count, first + kTogether);
    double largest = std::fabs(c);
    for (int k = first; k < end; ++k)
      largest = std::max(largest, std::fabs(static_cast<double>(a[k]) * static_cast<double>(b[k * stride])));
    double sum = c;
    if (largest > 0 && std::isfinite(largest)) {
      const double unit = std::ldexp(1.0, std::ilogb(largest) - 24);
      sum = std::trunc(sum / unit) * unit;
      for (int k = first; k < end; ++k)
        sum += std::trunc(static_cast<double>(a[k]) * static_cast<double>(b[k * stride]) / unit) * unit;
    } else {
      for (int k = first; k < end; ++k)
        sum += static_cast<double>(a[k]) * static_cast<double>(b[k * stride]);
    }
    c = static_cast<float>(sum);
    if (std::fabs(static_cast<double>(c)) > std::fabs(sum)) c = std::nextafter(c, 0.0f);
  }
  return c;
}

/// 2^x with a relative error of up to 2⁻²², which depends on x alone; exact where x is an integer.
/// Source: PTX ISA, ex2.approx.
inline float rough_exp2(float x) {
  const float y = exp2f(x);
  if (x == std::trunc(x) || !std::isfinite(y)) return y;
  const std::uint32_t mixed = std::bit_cast<std::uint32_t>(x) * 2654435761u;
  return static_cast<float>(
      y * (1 + std::ldexp(static_cast<double>(static_cast<std::int32_t>(mixed)), -31 - 22)));
}

}  // namespace clx::emulator
