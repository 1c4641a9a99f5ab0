// Changes of 8-bit pictures with the very bytes that Pillow (and torchvision on its images) gives: every step
// rounds or cuts to 8 bits as there.
#pragma once

#include <cstdint>

#include "runtime/io/image.h"

namespace clx::io {

// All of them: rows from the top, any number of channels unless said; Throws Error where a size is below 1,
// a box does not lie within the image, or the channels do not fit.

/// The part of height×width at (top, left).
Image crop(const Image& x, int top, int left, int height, int width);

/// crop, where pixels outside of the image are black.
Image crop_padded(const Image& x, int top, int left, int height, int width);

/// The middle part; where half a pixel is over, as torchvision's center_crop rounds: to even.
Image center_crop(const Image& x, int height, int width);

/// Mirrored left to right.
Image mirror(const Image& x);

/// Bilinear with averaging where it shrinks: the triangle filter in fixed point, first along rows, then along
/// columns, with 8 bits between them. An axis that keeps its size is left alone.
/// Notes: Pillow 13 begins with the columns where that is less work, and then differs by one here and there.
/// Source: Pillow, src/libImaging/Resample.c, Image.resize(…, BILINEAR).
Image resize(const Image& x, int height, int width);

/// resize(crop(…)), without the copy between them: torchvision's resized_crop.
Image resized_crop(const Image& x, int top, int left, int height, int width, int out_height, int out_width);

/// resize to a shorter side of `side`; the longer becomes ⌊side·long/short⌋.
Image resize_shorter(const Image& x, int side);

/// The luma of red, green and blue: (19595 R + 38470 G + 7471 B + 2¹⁵) / 2¹⁶.
std::uint8_t luma(std::uint8_t r, std::uint8_t g, std::uint8_t b);

/// Of three channels to three: each pixel becomes its luma.
Image grayscale(const Image& x);

/// Blends with black, with the image's mean luma, with each pixel's luma: factor 0 gives those, 1 the image,
/// beyond 1 goes away from them.
Image adjust_brightness(const Image& x, float factor);
Image adjust_contrast(const Image& x, float factor);
Image adjust_saturation(const Image& x, float factor);

/// Turns the hue of the 8-bit HSV image by `turns` within [−1/2, 1/2], cut to 255ths of a turn.
Image adjust_hue(const Image& x, float turns);

}  // namespace clx::io
