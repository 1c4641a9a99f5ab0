#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/resample.h"
#include "kernels/resize_u8.h"
#include "runtime/check.h"
#include "runtime/io/pil.h"

namespace clx::io {
namespace {

// The filter of every output pixel of an axis, in fixed point.
struct Axis {
  std::vector<int> first, count;
  std::vector<std::int32_t> weights;  // `most` per output pixel
  int most = 0;

  Axis(int in, int out) {
    std::vector<FilterSpan> spans;
    for (int x = 0; x < out; ++x) {
      spans.push_back(filter_span(in, out, x));
      first.push_back(spans.back().first);
      count.push_back(spans.back().count);
      most = std::max(most, count.back());
    }
    weights.resize(static_cast<std::size_t>(most) * spans.size());
    std::vector<double> w(static_cast<std::size_t>(most));
    for (std::size_t x = 0; x < spans.size(); ++x) {
      double sum = 0;
      const auto n = static_cast<std::size_t>(spans[x].count);
      for (std::size_t k = 0; k < n; ++k)
        sum += w[k] = spans[x].weight(static_cast<int>(k));
      for (std::size_t k = 0; k < n; ++k)
        weights[x * static_cast<std::size_t>(most) + k] =
            static_cast<std::int32_t>(0.5 + (sum != 0 ? w[k] / sum : w[k]) * (1 << 22));
    }
  }
  kernels::FixedFilter filter() const {
    return {static_cast<int>(first.size()), most, first.data(), count.data(), weights.data()};
  }
};

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

void require_box(const char* what, const Image& x, int top, int left, int height, int width) {
  require_size(what, height, width);
  CLX_CHECK(top >= 0 && left >= 0 && height <= x.height - top && width <= x.width - left, what,
            ": expected a box within ", x.height, " × ", x.width, ", got ", height, " × ", width, " at (",
            top, ", ", left, ")");
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
  require_box("crop", x, top, left, height, width);
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
  for (int h = 0; h < x.height; ++h) {
    const std::uint8_t* in = row(x, h);
    std::uint8_t* out = row(y, h) + (x.width - 1) * C;
    for (int w = 0; w < x.width; ++w, in += C, out -= C)
      for (std::ptrdiff_t c = 0; c < C; ++c)
        out[c] = in[c];
  }
  return y;
}

Image resize(const Image& x, int height, int width) {
  return resized_crop(x, 0, 0, x.height, x.width, height, width);
}

Image resized_crop(const Image& x, int top, int left, int height, int width, int out_height, int out_width) {
  require_image("resize", x);
  require_size("resize", out_height, out_width);
  require_box("resize", x, top, left, height, width);
  if (width == out_width && height == out_height) return crop_padded(x, top, left, height, width);
  const Cpu cpu;
  const std::int64_t stride = static_cast<std::int64_t>(x.width) * x.channels;
  const std::uint8_t* from = row(x, top) + static_cast<std::ptrdiff_t>(left) * x.channels;
  Image y = make(out_height, out_width, x.channels);
  const int n = out_width * x.channels;
  if (width == out_width) {
    kernels::resize_columns(cpu, n, from, stride, Axis(height, out_height).filter(), y.pixels.data());
    return y;
  }
  const Axis along(width, out_width);
  if (height == out_height) {
    kernels::resize_rows(cpu, height, width, x.channels, from, stride, along.filter(), y.pixels.data());
    return y;
  }
  Image rows = make(height, out_width, x.channels);
  kernels::resize_rows(cpu, height, width, x.channels, from, stride, along.filter(), rows.pixels.data());
  kernels::resize_columns(cpu, n, rows.pixels.data(), n, Axis(height, out_height).filter(), y.pixels.data());
  return y;
}

Image resize_shorter(const Image& x, int side) {
  require_image("resize_shorter", x);
  require_size("resize_shorter", side, side);
  const int shorter = std::min(x.width, x.height), longer = std::max(x.width, x.height);
  const int becomes = static_cast<int>(static_cast<std::int64_t>(side) * longer / shorter);
  return x.width < x.height ? resize(x, becomes, side) : resize(x, side, becomes);
}

}  // namespace clx::io
