// 2ˣ of a vector of floats.
#pragma once

#include "kernels/cpu/vector.h"

namespace clx::kernels {

/// 2ˣ to 1e-7 of itself for x ≤ 127; 0 below −125; NaN stays NaN.
inline Vec exp2_lanes(Vec x) {
  constexpr float kRound = 12582912.0f;  // 1.5·2²³: added, it leaves the nearest integer in the last bits
  const Vec shifted = x + kRound;
  const Vec f = x - (shifted - kRound);  // within ±0.5
  // The polynomial of Cephes' exp2f.
  Vec p = broadcast(1.535336188319500e-4f);
  p = multiply_add(p, f, broadcast(1.339887440266574e-3f));
  p = multiply_add(p, f, broadcast(9.618437357674640e-3f));
  p = multiply_add(p, f, broadcast(5.550332471162809e-2f));
  p = multiply_add(p, f, broadcast(2.402264791363012e-1f));
  p = multiply_add(p, f, broadcast(6.931472028550421e-1f));
  p = multiply_add(p, f, broadcast(1.0f));
  VecBits bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000u;
  Vec power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -125.0f ? Vec{} : p * power;
}

}  // namespace clx::kernels
