// Colours of rows of three channels within [0,1]; zeros after the row stay zeros, except by contrast.
// Included by kernels/cpu/*.cpp only.
#pragma once

#include "kernels/augment.h"
#include "kernels/cpu/planes.h"

namespace clx::kernels {

struct RgbVec {
  Vec r, g, b;
};

inline Vec smaller(Vec a, Vec b) {
  return a < b ? a : b;
}
inline Vec larger(Vec a, Vec b) {
  return a > b ? a : b;
}

inline Vec gray_of(const RgbVec& p) {
  return 0.2989f * p.r + 0.587f * p.g + 0.114f * p.b;
}

/// factor·p + (1 − factor)·with, clamped to [0,1].
inline RgbVec blend(const RgbVec& p, float factor, Vec with) {
  const Vec rest = (1 - factor) * with, zero{}, one = zero + 1;
  return {smaller(larger(factor * p.r + rest, zero), one), smaller(larger(factor * p.g + rest, zero), one),
          smaller(larger(factor * p.b + rest, zero), one)};
}

/// HSV with H in sixths, and back: channel = V − (V − min)·clamp(min(k, 4 − k), 0, 1), k = (shift + H) mod 6
/// with the shifts 5, 3 and 1 of red, green and blue.
inline RgbVec turn_hue(const RgbVec& p, float turns) {
  const Vec zero{}, one = zero + 1;
  const Vec most = larger(larger(p.r, p.g), p.b), least = smaller(smaller(p.r, p.g), p.b);
  const Vec chroma = most - least;
  const Vec scale = chroma > 0 ? one / chroma : zero;
  Vec hue =
      most == p.r ? (p.g - p.b) * scale : (most == p.g ? (p.b - p.r) * scale + 2 : (p.r - p.g) * scale + 4);
  hue += 6 * turns;  // within −4 … 8
  hue = hue < 0 ? hue + 6 : hue;
  hue = hue >= 6 ? hue - 6 : hue;
  const auto channel = [&](float shift) {
    Vec k = hue + shift;
    k = k >= 6 ? k - 6 : k;
    return most - chroma * smaller(larger(smaller(k, 4 - k), zero), one);
  };
  return {channel(5), channel(3), channel(1)};
}

/// Calls f(RgbVec&) for every vector of pixels of a row.
template <class F>
void for_pixels(const PlaneRow& row, int width, F&& f) {
  for (std::int64_t i = 0; i < lanes_over(width); i += kLanes) {
    RgbVec p{load(row.channel[0] + i), load(row.channel[1] + i), load(row.channel[2] + i)};
    f(p);
    store(row.channel[0] + i, p.r);
    store(row.channel[1] + i, p.g);
    store(row.channel[2] + i, p.b);
  }
}

inline void change_row(const PlaneRow& row, int width, ColorOp op, float factor, float gray_mean) {
  switch (op) {
    case ColorOp::brightness:
      return for_pixels(row, width, [&](RgbVec& p) { p = blend(p, factor, Vec{}); });
    case ColorOp::contrast:
      return for_pixels(row, width, [&](RgbVec& p) { p = blend(p, factor, Vec{} + gray_mean); });
    case ColorOp::saturation:
      return for_pixels(row, width, [&](RgbVec& p) { p = blend(p, factor, gray_of(p)); });
    case ColorOp::hue:
      return for_pixels(row, width, [&](RgbVec& p) { p = turn_hue(p, factor); });
  }
}

}  // namespace clx::kernels
