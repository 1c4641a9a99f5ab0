#include "xai/explain/controls.h"

#include <algorithm>

#include "runtime/random.h"
#include "xai/require_maps.h"

namespace clx::xai {

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

Tensor inverted_maps(const Tensor& maps) {
  require_maps("inverted_maps", maps);
  const Tensor source = maps.to(kCpu);
  const std::int64_t pixels = source.dim(1) * source.dim(2);
  Tensor inverted = Tensor::zeros(source.shape());
  for (std::int64_t n = 0; n < source.dim(0); ++n) {
    const float* m = source.data() + n * pixels;
    if (std::any_of(m, m + pixels, [](float v) { return v != 0; }))
      std::transform(m, m + pixels, inverted.mutable_data() + n * pixels, [](float v) { return 1 - v; });
  }
  return inverted.to(maps.device());
}

}  // namespace clx::xai
