#include "kernels/flip.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace clx::kernels {
namespace {

VecInt load_ranks(const std::int32_t* p) {
  VecInt v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Lane i of the result is lane index[i] of `ranks`.
VecInt spread(VecInt ranks, VecInt index) {
  return reinterpret_cast<VecInt>(
      pick(reinterpret_cast<Vec>(ranks), Vec{}, reinterpret_cast<VecBits>(index)));
}

template <class T>
struct FlippedImage {
  const T* x;
  const std::int32_t* ranks;
  const float* baseline;
  T* y;
  std::int32_t removed;  // ranks below this
};

// One pixel or value after the other, from pixel p on.
template <class T>
void flip_pixels(const FlipShape& s, const FlippedImage<T>& image, int p) {
  for (; p < s.pixels; ++p)
    for (int c = 0; c < s.C; ++c) {
      const int i = p * s.C + c;
      image.y[i] = image.ranks[s.channels ? i : p] < image.removed ? T(image.baseline[c]) : image.x[i];
    }
}

// A vector of pixels of three channels are three vectors, to whose lanes the ranks of pixels are spread.
// Returns the first pixel that is left.
template <class T>
int flip_three_channels(const FlipShape& s, const FlippedImage<T>& image) {
  VecInt pixel[3];
  Vec baseline[3];
  for (int v = 0; v < 3; ++v)
    for (int lane = 0; lane < kLanes; ++lane) {
      pixel[v][lane] = (v * kLanes + lane) / 3;
      baseline[v][lane] = image.baseline[(v * kLanes + lane) % 3];
    }
  int p = 0;
  for (; p + kLanes <= s.pixels; p += kLanes) {
    const VecInt of_pixels = s.channels ? VecInt{} : load_ranks(image.ranks + p);
    for (int v = 0; v < 3; ++v) {
      const int at = p * 3 + v * kLanes;
      const VecInt ranks = s.channels ? load_ranks(image.ranks + at) : spread(of_pixels, pixel[v]);
      store(image.y + at, ranks < image.removed ? baseline[v] : load(image.x + at));
    }
  }
  return p;
}

template <class T>
void flip_images(const FlipShape& s, const T* x, const std::int32_t* ranks, const float* baseline, T* y) {
  const std::int64_t size = static_cast<std::int64_t>(s.pixels) * s.C,
                     rank_size = s.channels ? size : s.pixels;
  parallel_for(s.count, [&](std::int64_t k) {
    const std::int64_t states = s.end - s.begin, n = (s.first + k) / states,
                       step = s.begin + (s.first + k) % states;
    const FlippedImage<T> image{x + n * size, ranks + n * rank_size, baseline + n * s.C, y + k * size,
                                static_cast<std::int32_t>(step * s.per_step)};
    flip_pixels(s, image, s.C == 3 ? flip_three_channels(s, image) : 0);
  });
}

template <class T>
float least_value(std::int64_t size, const T* x) {
  Vec least = broadcast(std::numeric_limits<float>::infinity());
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    const Vec v = load(x + i);
    least = v < least ? v : least;
  }
  float result = static_cast<float>(x[0]);
  for (; i < size; ++i)
    result = std::min(result, static_cast<float>(x[i]));
  for (int lane = 0; lane < kLanes; ++lane)
    result = std::min(result, static_cast<float>(least[lane]));
  return result;
}

template <class T>
float channel_mean(int pixels, int C, const T* x) {
  double sum = 0;
  for (int p = 0; p < pixels; ++p)
    sum += static_cast<double>(static_cast<float>(x[static_cast<std::ptrdiff_t>(p) * C]));
  return static_cast<float>(sum / pixels);
}

double trapezoids(const float* p, int count) {
  double area = 0;
  for (int s = 0; s + 1 < count; ++s)
    area += (static_cast<double>(p[s]) + static_cast<double>(p[s + 1])) / 2;
  return area;
}

}  // namespace

void flip(
    const Cpu&, const FlipShape& s, ConstView x, const std::int32_t* ranks, const float* baseline, View y) {
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    flip_images(s, x.as<T>(), ranks, baseline, y.as<T>());
  });
}

void flip_baseline(const Cpu&, int N, int pixels, int C, FlipValue value, ConstView x, float* baseline) {
  with_float_type(x.dtype, [&](auto type) {
    const auto* images = x.as<decltype(type)>();
    const std::int64_t size = static_cast<std::int64_t>(pixels) * C;
    parallel_for(N, [&](std::int64_t n) {
      float* to = baseline + n * C;
      if (value == FlipValue::least) std::fill_n(to, C, least_value(size, images + n * size));
      for (int c = 0; value == FlipValue::mean && c < C; ++c)
        to[c] = channel_mean(pixels, C, images + n * size + c);
    });
  });
}

void class_score(const Cpu&,
                 int rows,
                 int cols,
                 std::int64_t first,
                 int per_class,
                 const float* logits,
                 const std::int32_t* classes,
                 std::int64_t stride,
                 float* score) {
  parallel_ranges(rows, std::max(1, 4096 / cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* z = logits + i * cols;
      const float most = *std::max_element(z, z + cols);
      double sum = 0;
      for (int j = 0; j < cols; ++j)
        sum += static_cast<double>(std::exp(z[j] - most));
      const std::int64_t n = (first + i) / per_class, s = (first + i) % per_class;
      score[n * stride + s] = static_cast<float>(static_cast<double>(std::exp(z[classes[n]] - most)) / sum);
    }
  });
}

void curve_areas(const Cpu&, int N, int steps, const float* curves, float* areas) {
  parallel_ranges(N, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const float* p = curves + n * (steps + 1);
      const double without = trapezoids(p + 1, steps) / (steps - 1);
      areas[3 * n] = static_cast<float>(without);
      areas[3 * n + 1] = static_cast<float>(trapezoids(p, steps + 1) / steps);
      areas[3 * n + 2] = static_cast<float>(without / static_cast<double>(p[0]));
    }
  });
}

}  // namespace clx::kernels
