// Resizing of 8-bit pictures, for the loader threads of the host.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace clx::kernels {

/// A picture of H×W pixels of C channels, whose rows lie `stride` bytes apart, becomes height×width; 1 ≤ C
/// ≤ 4.
struct ResizeShape {
  int H = 0, W = 0, C = 0;
  std::int64_t stride = 0;
  int height = 0, width = 0;
};

/// y (height,width,C) = x resized with the triangle filter of kernels/resample.h in fixed point of 22 bits:
/// rows first, rounded to 8 bits, then columns. An axis that keeps its size is left alone. The bytes are
/// those of Pillow's Image.resize(…, BILINEAR). By the calling thread alone.
void resize_image(const Cpu&, const ResizeShape&, const std::uint8_t* x, std::uint8_t* y);

}  // namespace clx::kernels
