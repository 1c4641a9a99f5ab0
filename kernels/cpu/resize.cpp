#include "kernels/resize.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/resample.h"

namespace clx::kernels {
namespace {

constexpr int kFractionBits = 22;
constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);

using Pixel = std::int32_t __attribute__((vector_size(16)));  // four channels

// The filter of every output pixel of an axis: `most` weights for each, of which `count` are not zero. They
// are not negative and their sum exceeds 2²² by less than `count`, so that no sum leaves 0 … 255.
struct Axis {
  int* first;
  int* count;
  std::int32_t* weights;
  int most;
};

int most_taps(int in, int out) {
  return 2 * ((in + out - 1) / out) + 2;
}

Axis make_axis(const Cpu& b, int in, int out) {
  const auto n = static_cast<std::size_t>(out);
  Axis axis{};
  axis.most = most_taps(in, out);
  const auto taps = static_cast<std::size_t>(axis.most);
  axis.first = static_cast<int*>(b.workspace(n * sizeof(int)));
  axis.count = static_cast<int*>(b.workspace(n * sizeof(int)));
  axis.weights = static_cast<std::int32_t*>(b.workspace(n * taps * sizeof(std::int32_t)));
  auto* w = static_cast<double*>(b.workspace(taps * sizeof(double)));
  for (int x = 0; x < out; ++x) {
    const FilterSpan span = filter_span(in, out, x);
    axis.first[x] = span.first;
    axis.count[x] = span.count;
    double sum = 0;
    for (int k = 0; k < span.count; ++k)
      sum += w[k] = span.weight(k);
    std::int32_t* to = axis.weights + static_cast<std::ptrdiff_t>(x) * axis.most;
    for (int k = 0; k < span.count; ++k)
      to[k] = static_cast<std::int32_t>(0.5 + w[k] / sum * (1 << kFractionBits));
  }
  return axis;
}

void widen(const std::uint8_t* from, int n, std::int32_t* __restrict to) {
  for (int i = 0; i < n; ++i)
    to[i] = from[i];
}

void narrow(const std::int32_t* from, int n, std::uint8_t* __restrict to) {
  for (int i = 0; i < n; ++i)
    to[i] = static_cast<std::uint8_t>(from[i] >> kFractionBits);
}

// Each pixel is read and written as four channels: what lies beyond the C of the last one must be there, and
// what is written beyond is overwritten by the next.
template <int C>
void resize_row(const Axis& axis, const std::int32_t* in, int width, std::int32_t* out) {
  for (int x = 0; x < width; ++x, out += C) {
    const std::int32_t* p = in + static_cast<std::ptrdiff_t>(axis.first[x]) * C;
    const std::int32_t* weight = axis.weights + static_cast<std::ptrdiff_t>(x) * axis.most;
    Pixel sum = Pixel{} + kHalf;
    for (int k = 0; k < axis.count[x]; ++k, p += C) {
      Pixel pixel;
      std::memcpy(&pixel, p, sizeof pixel);
      sum += pixel * weight[k];
    }
    std::memcpy(out, &sum, sizeof sum);
  }
}

template <int C>
void resize_rows(const Cpu& b, const ResizeShape& s, const std::uint8_t* x, std::uint8_t* y) {
  const Axis axis = make_axis(b, s.W, s.width);
  const auto row = [&](int pixels) {
    const std::size_t n = static_cast<std::size_t>(pixels) * C + 4;
    auto* values = static_cast<std::int32_t*>(b.workspace(n * sizeof(std::int32_t)));
    std::fill_n(values, n, 0);
    return values;
  };
  std::int32_t* in = row(s.W);
  std::int32_t* out = row(s.width);
  for (int h = 0; h < s.H; ++h, y += static_cast<std::ptrdiff_t>(s.width) * C) {
    widen(x + h * s.stride, s.W * C, in);
    resize_row<C>(axis, in, s.width, out);
    narrow(out, s.width * C, y);
  }
}

// One row out of `count` rows, `stride` apart. Two and three are what an enlarged picture needs.
void blend_rows(const std::uint8_t* x,
                std::int64_t stride,
                int n,
                const std::int32_t* weight,
                int count,
                std::int32_t* __restrict sum,
                std::uint8_t* __restrict y) {
  if (count == 2) {
    const std::uint8_t* x1 = x + stride;
    for (int i = 0; i < n; ++i)
      y[i] = static_cast<std::uint8_t>((x[i] * weight[0] + x1[i] * weight[1] + kHalf) >> kFractionBits);
  } else if (count == 3) {
    const std::uint8_t* x1 = x + stride;
    const std::uint8_t* x2 = x1 + stride;
    for (int i = 0; i < n; ++i)
      y[i] = static_cast<std::uint8_t>((x[i] * weight[0] + x1[i] * weight[1] + x2[i] * weight[2] + kHalf) >>
                                       kFractionBits);
  } else {
    std::fill_n(sum, n, kHalf);
    for (int k = 0; k < count; ++k, x += stride)
      for (int i = 0; i < n; ++i)
        sum[i] += x[i] * weight[k];
    narrow(sum, n, y);
  }
}

// Rows of n bytes, `stride` apart, to `height` rows of n.
void resize_columns(
    const Cpu& b, int H, std::int64_t stride, int n, int height, const std::uint8_t* x, std::uint8_t* y) {
  const Axis axis = make_axis(b, H, height);
  auto* sum = static_cast<std::int32_t*>(b.workspace(static_cast<std::size_t>(n) * sizeof(std::int32_t)));
  for (int h = 0; h < height; ++h)
    blend_rows(x + axis.first[h] * stride, stride, n,
               axis.weights + static_cast<std::ptrdiff_t>(h) * axis.most, axis.count[h], sum,
               y + static_cast<std::ptrdiff_t>(h) * n);
}

}  // namespace

void resize_image(const Cpu& b, const ResizeShape& s, const std::uint8_t* x, std::uint8_t* y) {
  const int n = s.width * s.C;
  const std::uint8_t* rows = x;
  std::int64_t stride = s.stride;
  if (s.width != s.W) {
    auto* to = s.height == s.H ? y
                               : static_cast<std::uint8_t*>(b.workspace(static_cast<std::size_t>(s.H) *
                                                                        static_cast<std::size_t>(n)));
    switch (s.C) {
      case 1:
        resize_rows<1>(b, s, x, to);
        break;
      case 2:
        resize_rows<2>(b, s, x, to);
        break;
      case 3:
        resize_rows<3>(b, s, x, to);
        break;
      default:
        resize_rows<4>(b, s, x, to);
    }
    if (s.height == s.H) return;
    rows = to;
    stride = n;
  }
  if (s.height != s.H) return resize_columns(b, s.H, stride, n, s.height, rows, y);
  for (int h = 0; h < s.H; ++h)
    std::copy_n(x + h * s.stride, n, y + static_cast<std::ptrdiff_t>(h) * n);
}

}  // namespace clx::kernels
