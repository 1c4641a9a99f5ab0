// The triangle filter of a bilinear resize that averages where it shrinks.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace clx {

/// The input pixels under the filter of one output pixel, and the filter's place among them.
struct FilterSpan {
  int first, count;
  double center, inverse_width;
  /// Not yet normalised to a sum of 1 over the span.
  CLX_HOST_DEVICE double weight(int k) const {
    const double t = (k + first - center + 0.5) * inverse_width;
    const double distance = t < 0 ? -t : t;
    return distance < 1 ? 1 - distance : 0.0;
  }
};

/// The filter of output pixel x when `in` pixels become `out`.
/// Source: Pillow, src/libImaging/Resample.c, precompute_coeffs.
CLX_HOST_DEVICE inline FilterSpan filter_span(int in, int out, int x) {
  const double scale = static_cast<double>(in) / out;
  const double width = scale < 1 ? 1.0 : scale;
  const double center = (x + 0.5) * scale;
  int first = static_cast<int>(center - width + 0.5), end = static_cast<int>(center + width + 0.5);
  if (first < 0) first = 0;
  if (end > in) end = in;
  return {first, end - first, center, 1.0 / width};
}

}  // namespace clx
