#include "runtime/io/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/resize.h"
#include "runtime/check.h"
#include "runtime/dispatch.h"

namespace clx::io {
namespace {

void require_image(const char* op, const ImageView& x) {
  CLX_CHECK(x.pixels != nullptr && x.height >= 1 && x.width >= 1 && x.channels >= 1 && x.channels <= 4, op,
            ": expected an image of 1 to 4 channels, got ", x.height, "x", x.width, "x", x.channels);
}

// The middle of height×width, half pixels rounded to even.
Rectangle middle(const Rectangle& of, int side) {
  return {static_cast<int>(std::nearbyint((of.height - side) / 2.0)),
          static_cast<int>(std::nearbyint((of.width - side) / 2.0)), side, side};
}

// The box of `x` resized to `size` with nearest pixels.
void nearest_mask(const ImageView& x, const Rectangle& size, const Rectangle& box, std::uint8_t* y) {
  const auto nearest = [](int at, int from, int to) {
    return std::min(static_cast<int>((at + 0.5) * from / to), from - 1);
  };
  for (int h = 0; h < box.height; ++h) {
    const std::int64_t row = nearest(h + box.top, x.height, size.height);
    for (int w = 0; w < box.width; ++w) {
      const std::int64_t column = nearest(w + box.left, x.width, size.width);
      const std::uint8_t* p = x.pixels + (row * x.width + column) * x.channels;
      *y++ = std::any_of(p, p + x.channels, [](std::uint8_t v) { return v != 0; });
    }
  }
}

void require_sides(const char* op, int shorter, int side) {
  CLX_CHECK(side >= 1 && side <= shorter, op, ": expected a crop of 1 to ", shorter, " pixels, got ", side);
}

}  // namespace

void resized_crop(const ImageView& x, const Rectangle& box, int height, int width, std::uint8_t* y) {
  require_image("resized_crop", x);
  CLX_CHECK(box.top >= 0 && box.left >= 0 && box.height >= 1 && box.width >= 1 &&
                box.height <= x.height - box.top && box.width <= x.width - box.left,
            "resized_crop: expected a box within ", x.height, "x", x.width, ", got ", box.height, "x",
            box.width, " at (", box.top, ", ", box.left, ")");
  CLX_CHECK(height >= 1 && width >= 1, "resized_crop: expected a size of at least 1x1, got ", height, "x",
            width);
  const std::int64_t stride = std::int64_t{x.width} * x.channels;
  kernels::resize_image(cpu_backend(), {box.height, box.width, x.channels, stride, height, width},
                        x.pixels + box.top * stride + std::int64_t{box.left} * x.channels, y);
}

Rectangle resized_shorter(int height, int width, int shorter) {
  const std::int64_t s = shorter;
  if (width < height) return {0, 0, static_cast<int>(s * height / width), shorter};
  return {0, 0, shorter, static_cast<int>(s * width / height)};
}

void resized_center(const ImageView& x, int shorter, int side, std::uint8_t* y) {
  require_image("resized_center", x);
  require_sides("resized_center", shorter, side);
  const Rectangle size = resized_shorter(x.height, x.width, shorter);
  thread_local std::vector<std::uint8_t> whole;
  const std::size_t channels = static_cast<std::size_t>(x.channels);
  whole.resize(static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width) * channels);
  resized_crop(x, {0, 0, x.height, x.width}, size.height, size.width, whole.data());
  resized_crop({size.width, size.height, x.channels, whole.data()}, middle(size, side), side, side, y);
}

void resized_mask(const ImageView& x, int shorter, int side, std::uint8_t* y) {
  require_image("resized_mask", x);
  require_sides("resized_mask", shorter, side);
  const Rectangle size = resized_shorter(x.height, x.width, shorter);
  nearest_mask(x, size, middle(size, side), y);
}

void resized_whole_mask(const ImageView& x, int height, int width, std::uint8_t* y) {
  require_image("resized_whole_mask", x);
  nearest_mask(x, {0, 0, height, width}, {0, 0, height, width}, y);
}

}  // namespace clx::io
