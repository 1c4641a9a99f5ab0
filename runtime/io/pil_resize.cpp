#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/resample.h"
#include "runtime/check.h"
#include "runtime/io/pil.h"

namespace clx::io {
namespace {

constexpr int kFractionBits = 22;

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
            static_cast<std::int32_t>(0.5 + (sum != 0 ? w[k] / sum : w[k]) * (1 << kFractionBits));
    }
  }
  const std::int32_t* of(int x) const { return weights.data() + static_cast<std::ptrdiff_t>(x) * most; }
};

std::uint8_t clip(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);

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

Image resize_rows(const Image& x, int width) {
  const Axis axis(x.width, width);
  Image y = make(x.height, width, x.channels);
  const int C = x.channels;
  for (int h = 0; h < x.height; ++h) {
    const std::uint8_t* in = row(x, h);
    std::uint8_t* out = row(y, h);
    for (int w = 0; w < width; ++w)
      for (int c = 0; c < C; ++c) {
        const std::uint8_t* v =
            in + static_cast<std::ptrdiff_t>(axis.first[static_cast<std::size_t>(w)]) * C + c;
        std::int32_t sum = kHalf;
        for (int k = 0; k < axis.count[static_cast<std::size_t>(w)]; ++k)
          sum += axis.of(w)[k] * v[k * C];
        *out++ = clip(sum);
      }
  }
  return y;
}

Image resize_columns(const Image& x, int height) {
  const Axis axis(x.height, height);
  Image y = make(height, x.width, x.channels);
  const int n = x.width * x.channels;
  std::vector<std::int32_t> sum(static_cast<std::size_t>(n));
  for (int h = 0; h < height; ++h) {
    std::fill(sum.begin(), sum.end(), kHalf);
    for (int k = 0; k < axis.count[static_cast<std::size_t>(h)]; ++k) {
      const std::uint8_t* in = row(x, axis.first[static_cast<std::size_t>(h)] + k);
      const std::int32_t weight = axis.of(h)[k];
      for (int i = 0; i < n; ++i)
        sum[static_cast<std::size_t>(i)] += weight * in[i];
    }
    std::uint8_t* out = row(y, h);
    for (int i = 0; i < n; ++i)
      out[i] = clip(sum[static_cast<std::size_t>(i)]);
  }
  return y;
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
  for (int h = 0; h < x.height; ++h)
    for (int w = 0; w < x.width; ++w)
      std::copy_n(row(x, h) + static_cast<std::ptrdiff_t>(x.width - 1 - w) * x.channels, x.channels,
                  row(y, h) + static_cast<std::ptrdiff_t>(w) * x.channels);
  return y;
}

Image resize(const Image& x, int height, int width) {
  require_image("resize", x);
  require_size("resize", height, width);
  if (width == x.width) return height == x.height ? x : resize_columns(x, height);
  const Image rows = resize_rows(x, width);
  return height == x.height ? rows : resize_columns(rows, height);
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
