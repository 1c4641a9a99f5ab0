#include "apps/eval/stability.h"

#include <limits>

#include "runtime/ops/map_scores.h"
#include "runtime/random.h"

namespace clx::app {
namespace {

// The class of the largest or least score other than `explained`.
std::int32_t extreme_other(const float* row, std::int32_t K, std::int32_t explained, bool largest) {
  std::int32_t best = explained == 0 ? 1 : 0;
  for (std::int32_t k = 0; k < K; ++k)
    if (k != explained && (largest ? row[k] > row[best] : row[k] < row[best])) best = k;
  return best;
}

}  // namespace

xai::Bounds noise_bounds(NoiseClamp clamp, const std::vector<float>& mean, const std::vector<float>& std) {
  xai::Bounds bounds;
  if (clamp == NoiseClamp::none) return bounds;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const bool reference = clamp == NoiseClamp::reference;
    bounds.low.push_back(reference ? 0 : (0 - mean[c]) / std[c]);
    bounds.high.push_back(reference ? 1 : (1 - mean[c]) / std[c]);
  }
  return bounds;
}

std::vector<Tensor> compare(const Tensor& a, const Tensor& b, const StabilityOptions& options) {
  std::vector<Tensor> compared{structural_similarity(a, b, options.ssim)};
  if (options.zero_maps != "keep")
    for (const Tensor* maps : {&a, &b})
      compared.push_back(queue_map_scores(*maps));
  return compared;
}

std::vector<double> similarity(const std::vector<Tensor>& compared) {
  const std::vector<float> ssim = compared[0].to_host();
  std::vector<double> scores(ssim.begin(), ssim.end());
  for (std::size_t side = 1; side < compared.size(); ++side) {
    const std::vector<MapScores> maps = read_map_scores(compared[side]);
    for (std::size_t n = 0; n < scores.size(); ++n)
      if (maps[n].zero != 0) scores[n] = std::numeric_limits<double>::quiet_NaN();
  }
  return scores;
}

std::vector<std::int32_t> contrast_classes(const Tensor& logits,
                                           const std::vector<std::int32_t>& explained,
                                           std::int64_t first,
                                           int round,
                                           const StabilityOptions& options) {
  const std::vector<float> z = logits.to_host();
  const auto K = static_cast<std::int32_t>(logits.dim(1));
  std::vector<std::int32_t> classes;
  for (std::size_t n = 0; n < explained.size(); ++n) {
    const std::int32_t c = explained[n];
    const float* row = z.data() + static_cast<std::ptrdiff_t>(n) * K;
    if (options.contrast == ContrastClass::random) {
      Random random(options.contrast_seed, Purpose::contrast_class, 0, static_cast<std::uint64_t>(first) + n);
      const auto other = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(K - 1)));
      classes.push_back(other < c ? other : other + 1);
    } else if (options.contrast == ContrastClass::all) {
      classes.push_back((c + 1 + round) % K);
    } else {
      classes.push_back(extreme_other(row, K, c, options.contrast == ContrastClass::runner_up));
    }
  }
  return classes;
}

}  // namespace clx::app
