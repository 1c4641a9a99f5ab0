// Rows of images as one run of floats per channel, and their way from and to interleaved channels.
// Included by kernels/cpu/*.cpp only.
#pragma once

#include <cstdint>

#include "kernels/cpu/vector.h"

namespace clx::kernels {

/// n rounded up to whole vectors.
constexpr std::int64_t lanes_over(std::int64_t n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

/// One row: C ≤ 4 runs of `width` floats, followed by zeros to whole vectors.
struct PlaneRow {
  float* channel[4] = {};
};

/// An image (C,height,stride) with stride = lanes_over(width).
struct Planes {
  float* data = nullptr;
  int C = 0, height = 0, width = 0;

  std::int64_t stride() const { return lanes_over(width); }
  static std::int64_t floats(int C, int height, int width) {
    return static_cast<std::int64_t>(C) * height * lanes_over(width);
  }
  PlaneRow row(int h) const {
    PlaneRow r;
    for (int c = 0; c < C; ++c)
      r.channel[c] = data + (static_cast<std::int64_t>(c) * height + h) * stride();
    return r;
  }
};

/// Three vectors of interleaved channels to one vector for each: channel c of pixel i is lane 3i + c of them
/// all.
struct Deinterleave3 {
  VecBits low[3], high[3];
  Deinterleave3() {
    for (unsigned c = 0; c < 3; ++c)
      for (unsigned i = 0; i < kLanes; ++i) {
        const unsigned from = 3 * i + c;
        const bool in_two = from < 2 * kLanes;  // of the first two vectors
        low[c][i] = in_two ? from : i;
        high[c][i] = in_two ? i : from - kLanes;
      }
  }
  Vec operator()(unsigned c, Vec x0, Vec x1, Vec x2) const { return pick(pick(x0, x1, low[c]), x2, high[c]); }
};

/// The way back: vector j of three holds the lanes from kLanes·j on.
struct Interleave3 {
  VecBits low[3], high[3];
  Interleave3() {
    for (unsigned j = 0; j < 3; ++j)
      for (unsigned i = 0; i < kLanes; ++i) {
        const unsigned at = kLanes * j + i, pixel = at / 3, c = at % 3;
        low[j][i] = c < 2 ? c * kLanes + pixel : i;
        high[j][i] = c < 2 ? i : pixel + kLanes;
      }
  }
  Vec operator()(unsigned j, Vec r, Vec g, Vec b) const { return pick(pick(r, g, low[j]), b, high[j]); }
};

/// in (pixels,C) to the runs of `out`. `in` is readable, and `out` writable, to whole vectors of pixels.
inline void deinterleave(const float* in, int pixels, int C, const PlaneRow& out) {
  if (C == 3) {
    const Deinterleave3 split;
    for (int i = 0; i < pixels; i += kLanes) {
      const Vec x0 = load(in + 3 * i), x1 = load(in + 3 * i + kLanes), x2 = load(in + 3 * i + 2 * kLanes);
      for (unsigned c = 0; c < 3; ++c)
        store(out.channel[c] + i, split(c, x0, x1, x2));
    }
    return;
  }
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < pixels; ++i)
      out.channel[c][i] = in[static_cast<std::ptrdiff_t>(i) * C + c];
}

}  // namespace clx::kernels
