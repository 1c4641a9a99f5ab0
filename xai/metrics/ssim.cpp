#include "xai/metrics/ssim.h"

#include "xai/require_maps.h"

namespace clx::xai {

std::vector<double> ssim(const Tensor& a, const Tensor& b, const SsimOptions& options) {
  require_maps("ssim", a);
  require_maps("ssim", b);
  const std::vector<float> values = structural_similarity(a, b.to(a.device()), options).to_host();
  return {values.begin(), values.end()};
}

}  // namespace clx::xai
