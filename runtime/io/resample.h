// Parts of decoded pictures at another size, written where they are wanted: what loader threads do.
#pragma once

#include <cstdint>

#include "runtime/io/image.h"

namespace clx::io {

/// Pixels that something else owns.
struct ImageView {
  int width = 0;
  int height = 0;
  int channels = 0;
  const std::uint8_t* pixels = nullptr;

  ImageView() = default;
  ImageView(int w, int h, int c, const std::uint8_t* p) : width(w), height(h), channels(c), pixels(p) {}
  ImageView(const Image& image)  // NOLINT: a picture is a view of itself
      : width(image.width), height(image.height), channels(image.channels), pixels(image.pixels.data()) {}
};

struct Rectangle {
  int top = 0, left = 0, height = 0, width = 0;
};

/// The box of `x`, resized to height×width, into `y` (height·width·channels bytes): the bytes of Pillow's
/// crop and resize(…, BILINEAR). Throws Error if the box does not lie within the image.
void resized_crop(const ImageView& x, const Rectangle& box, int height, int width, std::uint8_t* y);

/// torchvision's Resize(shorter) and CenterCrop(side) on a Pillow image, into `y` (side·side·channels bytes):
/// the shorter side becomes `shorter`, the longer ⌊shorter·long/short⌋, and the middle is cut out, rounded to
/// even. Throws Error unless 1 ≤ side ≤ shorter.
void resized_center(const ImageView& x, int shorter, int side, std::uint8_t* y);

/// The same of a mask: each pixel is the nearest one's (Pillow's NEAREST), 1 where any channel is not zero.
void resized_mask(const ImageView& x, int shorter, int side, std::uint8_t* y);

/// A whole mask at another size.
void resized_whole_mask(const ImageView& x, int height, int width, std::uint8_t* y);

/// The size that Resize(shorter) makes of height×width.
Rectangle resized_shorter(int height, int width, int shorter);

}  // namespace clx::io
