#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/check.h"
#include "runtime/io/pil.h"
#include "runtime/io/resample.h"

namespace clx::io {
namespace {

Image make(int height, int width, int channels) {
  return {width, height, channels,
          std::vector<std::uint8_t>(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
                                    static_cast<std::size_t>(channels))};
}

const std::uint8_t* row(const Image& x, int y) {
  return x.pixels.data() + static_cast<std::ptrdiff_t>(y) * x.width * x.channels;
}
std::uint8_t* row(Image& x, int y) {
  return x.pixels.data() + static_cast<std::ptrdiff_t>(y) * x.width * x.channels;
}

void require_image(const char* what, const Image& x) {
  CLX_CHECK(x.width > 0 && x.height > 0 && x.channels > 0 &&
                x.pixels.size() == static_cast<std::size_t>(x.width) * static_cast<std::size_t>(x.height) *
                                       static_cast<std::size_t>(x.channels),
            what, ": expected an image with pixels, got ", x.height, " × ", x.width, " × ", x.channels,
            " of ", x.pixels.size(), " bytes");
}

void require_size(const char* what, int height, int width) {
  CLX_CHECK(height > 0 && width > 0, what, ": expected a size of at least 1 × 1, got ", height, " × ", width);
}

}  // namespace

Image crop_padded(const Image& x, int top, int left, int height, int width) {
  require_image("crop", x);
  require_size("crop", height, width);
  Image y = make(height, width, x.channels);
  const int from = std::max(0, left), to = std::min(x.width, left + width);
  for (int h = std::max(0, -top); h < height && top + h < x.height && from < to; ++h)
    std::copy_n(row(x, top + h) + static_cast<std::ptrdiff_t>(from) * x.channels,
                static_cast<std::ptrdiff_t>(to - from) * x.channels,
                row(y, h) + static_cast<std::ptrdiff_t>(from - left) * x.channels);
  return y;
}

Image crop(const Image& x, int top, int left, int height, int width) {
  CLX_CHECK(top >= 0 && left >= 0 && height <= x.height - top && width <= x.width - left,
            "crop: expected a box within ", x.height, " × ", x.width, ", got ", height, " × ", width, " at (",
            top, ", ", left, ")");
  return crop_padded(x, top, left, height, width);
}

Image center_crop(const Image& x, int height, int width) {
  return crop(x, static_cast<int>(std::nearbyint((x.height - height) / 2.0)),
              static_cast<int>(std::nearbyint((x.width - width) / 2.0)), height, width);
}

Image mirror(const Image& x) {
  require_image("mirror", x);
  Image y = make(x.height, x.width, x.channels);
  const std::ptrdiff_t C = x.channels;
  for (int h = 0; h < x.height; ++h)
    for (int w = 0; w < x.width; ++w)
      for (std::ptrdiff_t c = 0; c < C; ++c)
        row(y, h)[(x.width - 1 - w) * C + c] = row(x, h)[w * C + c];
  return y;
}

Image resize(const Image& x, int height, int width) {
  require_image("resize", x);
  require_size("resize", height, width);
  CLX_CHECK(x.channels <= 4, "resize: expected at most 4 channels, got ", x.channels);
  Image y = make(height, width, x.channels);
  resized_crop(x, {0, 0, x.height, x.width}, height, width, y.pixels.data());
  return y;
}

Image resized_crop(const Image& x, int top, int left, int height, int width, int out_height, int out_width) {
  return resize(crop(x, top, left, height, width), out_height, out_width);
}

Image resize_shorter(const Image& x, int side) {
  require_image("resize_shorter", x);
  require_size("resize_shorter", side, side);
  const int shorter = std::min(x.width, x.height), longer = std::max(x.width, x.height);
  const int becomes = static_cast<int>(static_cast<std::int64_t>(side) * longer / shorter);
  return x.width < x.height ? resize(x, becomes, side) : resize(x, side, becomes);
}

}  // namespace clx::io
