#include "xai/explain/map_flags.h"

#include <numeric>

#include "runtime/ops/cam.h"
#include "xai/require_maps.h"

namespace clx::xai {

Tensor activity(const Tensor& activation) {
  CLX_CHECK(activation.defined() && activation.rank() == 4 && activation.size() > 0,
            "activity: expected activations (N,h,w,C), got ",
            activation.defined() ? concat(activation.shape()) : "none");
  const Tensor ones = Tensor::full({activation.dim(0), activation.dim(3)}, 1.0f, activation.device());
  return weighted_cam(activation, ones, 1, 1).raw;
}

std::vector<std::uint8_t> opposes_activity(const Tensor& raw, const Tensor& activity) {
  require_maps("opposes_activation", raw);
  require_maps("opposes_activation", activity);
  CLX_CHECK(activity.shape() == raw.shape(), "opposes_activation: expected activations (N,h,w,C) for maps ",
            raw.shape(), ", got them for maps ", activity.shape());
  const std::int64_t positions = raw.dim(1) * raw.dim(2);
  const std::vector<float> maps = raw.to_host(), active = activity.to_host();
  std::vector<std::uint8_t> flags;
  for (std::size_t n = 0; n < static_cast<std::size_t>(raw.dim(0)); ++n) {
    const float *m = maps.data() + n * positions, *a = active.data() + n * positions;
    const double mean = std::accumulate(a, a + positions, 0.0) / static_cast<double>(positions);
    double product = 0;
    for (std::int64_t i = 0; i < positions; ++i)
      product += m[i] * (a[i] - mean);
    flags.push_back(product < 0);
  }
  return flags;
}

std::vector<std::uint8_t> opposes_activation(const Tensor& raw, const Tensor& activation) {
  return opposes_activity(raw, activity(activation));
}

}  // namespace clx::xai
