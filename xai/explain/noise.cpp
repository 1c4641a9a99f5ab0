#include "xai/explain/noise.h"

#include <algorithm>

#include "runtime/check.h"
#include "runtime/ops/convert.h"
#include "runtime/random.h"

namespace clx::xai {

Tensor gaussian_noise(
    const std::vector<std::int64_t>& samples, int H, int W, int C, float sigma, std::uint64_t seed) {
  CLX_CHECK(!samples.empty() && H > 0 && W > 0 && C > 0, "noise: expected samples and a size above 0");
  CLX_CHECK(sigma >= 0, "noise: expected a sigma of at least 0, got ", sigma);
  Tensor noise({static_cast<std::int64_t>(samples.size()), H, W, C});
  float* out = noise.mutable_data();
  for (const std::int64_t sample : samples) {
    Random random(seed, Purpose::noise, 0, static_cast<std::uint64_t>(sample));
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(H) * W * C; ++i)
      *out++ = sigma * random.normal();
  }
  return noise;
}

Tensor add_noise(const Tensor& x, const Tensor& noise, const Bounds& bounds) {
  CLX_CHECK(x.defined() && x.rank() == 4 && noise.defined() && noise.dtype() == DType::f32 &&
                noise.shape() == x.shape(),
            "noise: expected noise of the images' shape, got ",
            noise.defined() ? concat(noise.shape()) : "none", " for ",
            x.defined() ? concat(x.shape()) : "none");
  const auto C = static_cast<std::size_t>(x.dim(3));
  CLX_CHECK((bounds.low.empty() || bounds.low.size() == C) && bounds.low.size() == bounds.high.size(),
            "noise: expected bounds of ", C, " channels, got ", bounds.low.size(), " and ",
            bounds.high.size());
  const Tensor clean = convert(x, DType::f32).to(kCpu), added = noise.to(kCpu);
  Tensor y(x.shape());
  float* out = y.mutable_data();
  std::transform(clean.data(), clean.data() + clean.size(), added.data(), out,
                 [](float a, float b) { return a + b; });
  if (!bounds.low.empty())
    for (std::int64_t i = 0; i < y.size(); ++i) {
      const std::size_t c = static_cast<std::size_t>(i) % C;
      out[i] = std::clamp(out[i], bounds.low[c], bounds.high[c]);
    }
  return convert(y.to(x.device()), x.dtype());
}

}  // namespace clx::xai
