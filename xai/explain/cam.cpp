#include "xai/explain/cam.h"

#include <algorithm>
#include <cmath>

#include "runtime/check.h"
#include "runtime/random.h"
#include "xai/require_maps.h"

namespace clx::xai {
namespace {

// Where an output position reads along one axis: s and next with weights 1 − a and a.
struct Tap {
  int s = 0, next = 0;
  float a = 0;
};

std::vector<Tap> taps(int from, int to) {
  std::vector<Tap> result;
  for (int d = 0; d < to; ++d) {
    const auto t = static_cast<float>((d + 0.5) * (static_cast<double>(from) / to) - 0.5);
    const float floor = std::floor(t);
    const int s = static_cast<int>(floor);
    result.push_back({std::clamp(s, 0, from - 1), std::clamp(s + 1, 0, from - 1), t - floor});
  }
  return result;
}

Tensor positive_part(const Tensor& maps) {
  Tensor y(maps.shape());
  std::transform(maps.data(), maps.data() + maps.size(), y.mutable_data(),
                 [](float v) { return v < 0 ? 0.0f : v; });
  return y;
}

}  // namespace

Tensor resize_bilinear(const Tensor& maps, int height, int width) {
  require_maps("resize", maps);
  CLX_CHECK(height > 0 && width > 0, "resize: expected a size above 0, got ", height, "×", width);
  const Tensor source = maps.to(kCpu);
  const std::int64_t N = source.dim(0), h = source.dim(1), w = source.dim(2);
  const std::vector<Tap> rows = taps(static_cast<int>(h), height), columns = taps(static_cast<int>(w), width);
  Tensor result({N, height, width});
  float* out = result.mutable_data();
  std::vector<float> wide(static_cast<std::size_t>(h * width));
  for (std::int64_t n = 0; n < N; ++n) {
    const float* row = source.data() + n * h * w;
    float* w_out = wide.data();
    for (std::int64_t i = 0; i < h; ++i, row += w)
      for (const Tap& c : columns)
        *w_out++ = row[c.s] * (1 - c.a) + row[c.next] * c.a;
    for (const Tap& r : rows) {
      const float* upper = wide.data() + static_cast<std::ptrdiff_t>(r.s) * width;
      const float* lower = wide.data() + static_cast<std::ptrdiff_t>(r.next) * width;
      for (int j = 0; j < width; ++j)
        *out++ = upper[j] * (1 - r.a) + lower[j] * r.a;
    }
  }
  return result;
}

Tensor min_max_normalize(const Tensor& maps) {
  require_maps("normalize", maps);
  Tensor result(maps.shape());
  float* out = result.mutable_data();
  const std::int64_t pixels = maps.dim(1) * maps.dim(2);
  for (std::int64_t n = 0; n < maps.dim(0); ++n) {
    const float* m = maps.data() + n * pixels;
    const auto [low, high] = std::minmax_element(m, m + pixels);
    const float least = *low, range = 1e-7f + (*high - least);
    out = std::transform(m, m + pixels, out, [=](float v) { return (v - least) / range; });
  }
  return result;
}

Tensor finish_maps(const Tensor& raw, int height, int width) {
  require_maps("finish_maps", raw);
  const Tensor small = min_max_normalize(positive_part(raw.to(kCpu)));
  return min_max_normalize(positive_part(resize_bilinear(small, height, width)));
}

Tensor random_maps(const std::vector<std::int64_t>& samples, int height, int width, std::uint64_t seed) {
  CLX_CHECK(height > 0 && width > 0 && !samples.empty(), "random_maps: expected samples and a size above 0");
  Tensor maps({static_cast<std::int64_t>(samples.size()), height, width});
  float* out = maps.mutable_data();
  for (const std::int64_t sample : samples) {
    Random random(seed, Purpose::control_map, 0, static_cast<std::uint64_t>(sample));
    for (int i = 0; i < height * width; ++i)
      *out++ = random.uniform();
  }
  return maps;
}

}  // namespace clx::xai
