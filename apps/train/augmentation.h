// What training does to its images: presets by name, and options that change single steps.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/support/options.h"
#include "runtime/ops/augment.h"

namespace clx::app {

/// Values that are given win over those of the preset.
struct AugmentationOptions {
  std::optional<std::string> preset{};
  std::optional<int> crop_padding{};
  std::vector<double> crop_scale{};  // low, high
  std::optional<bool> flip{};
  std::vector<float> jitter{};  // brightness, contrast, saturation, hue
  std::optional<float> jitter_p{};
  std::optional<float> grayscale{};
  std::optional<float> blur{};
};

/// Declares --augment, --crop-padding, … in the group "Augmentation".
void add_augmentation_options(Options& options, AugmentationOptions* augmentation);

/// The steps of the preset (`otherwise` if none is named) with the single options applied.
/// Throws    UsageError if a list has another length than it should, or a crop is asked for twice
AugmentOptions augmentation(const AugmentationOptions& options, const std::string& otherwise);

}  // namespace clx::app
