// How explanations change: with noise in the image, and from class to class.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/support/explaining.h"
#include "xai/explain/noise.h"
#include "xai/metrics/ssim.h"

namespace clx::app {

/// Where images with noise are cut off, in normalised space.
enum class NoiseClamp {
  none,
  reference,    // to [0,1] as the published code does: what is below the mean colour becomes it
  valid_range,  // to what pixels of 0 … 255 become
};

enum class ContrastClass {
  random,        // one of the other classes, drawn by (contrast-seed, sample)
  runner_up,     // the most likely of them
  least_likely,  // the least likely
  all,           // each of them; the score is the mean
};

struct StabilityOptions {
  float noise_sigma = 0.02f;  // in normalised space
  std::uint64_t noise_seed = 0;
  std::filesystem::path noise;  // a file instead
  NoiseClamp clamp = NoiseClamp::none;
  ContrastClass contrast = ContrastClass::random;
  std::uint64_t contrast_seed = 0;
  std::string zero_maps = "skip";  // or keep: what a pair with a map that is zero everywhere scores
  xai::SsimOptions ssim;
};

/// The bounds that `clamp` means for images normalised with mean and std.
xai::Bounds noise_bounds(NoiseClamp clamp, const std::vector<float>& mean, const std::vector<float>& std);

/// What similarity needs to know of pairs of maps, on their device: ssim, and what is to be read of each
/// side, unless maps that are zero everywhere are kept.
std::vector<Tensor> compare(const Tensor& a, const Tensor& b, const StabilityOptions& options);

/// ssim of each pair; NaN where either map is zero everywhere, unless such maps are kept.
std::vector<double> similarity(const std::vector<Tensor>& compared);

/// The class that each explained class is contrasted with, for samples first, first + 1, …: of logits (N,K)
/// and the explained classes. With ContrastClass::all, turn `round` of K − 1.
std::vector<std::int32_t> contrast_classes(const Tensor& logits,
                                           const std::vector<std::int32_t>& explained,
                                           std::int64_t first,
                                           int round,
                                           const StabilityOptions& options);

}  // namespace clx::app
