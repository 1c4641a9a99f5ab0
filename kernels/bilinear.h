// Where a bilinear resize reads: OpenCV's INTER_LINEAR for f32.
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace clx::kernels {

/// An output position along one axis reads elements s and next with weights 1 − a and a.
struct BilinearTap {
  int s = 0, next = 0;
  float a = 0;
};

/// Position d of `to` out of `from` elements: half-pixel centres, edges clamped. Beyond the centres of the
/// edge elements both indices are clamped and `a` stays in a column; in a row the element is taken alone.
CLX_HOST_DEVICE inline BilinearTap bilinear_tap(int from, int to, int d, bool within_row) {
  const float t = static_cast<float>((d + 0.5) * (static_cast<double>(from) / to) - 0.5);
  const float floor = floorf(t);
  const int s = static_cast<int>(floor), last = from - 1;
  if (within_row && s < 0) return {0, last < 1 ? last : 1, 0};
  if (within_row && s >= last) return {last, last, 0};
  return {s < 0 ? 0 : s > last ? last : s, s + 1 > last ? last : s + 1, t - floor};
}

}  // namespace clx::kernels
