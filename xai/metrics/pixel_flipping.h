// Pixel flipping: how fast the score falls when the most important pixels are removed first.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// Class scores (N,K) f32 of normalised images (N,H,W,C); batch-norm in evaluation.
using Classifier = std::function<Tensor(const Tensor& images)>;

/// What removed pixels become, per image and in normalised space.
enum class FlipBaseline {
  image_min,  // the least value of the image over all channels: Quantus' "black"
  zero,       // 0, the data set's mean colour
};

/// "image-min" or "zero". Throws Error for anything else.
FlipBaseline parse_flip_baseline(std::string_view text);

struct PixelFlippingOptions {
  int pixels_per_step = 0;  // 0: the image's width, as the reference has it (32 of 32×32, 224 of 224×224)
  FlipBaseline baseline = FlipBaseline::image_min;
  int batch_size = 256;  // images per forward pass; does not change the result
};

struct PixelFlipping {
  int steps = 0;               // S
  std::vector<double> p0;      // softmax score of the unperturbed image, N values
  std::vector<double> curves;  // softmax score after each step, N·S values
  std::vector<double> auc;     // Σ_s (p_s + p_{s+1})/2 / (S − 1) over the curve without p0, N values
};

/// Removes pixels (all channels) in descending order of the map, ties in raster order, and records the
/// softmax score of `classes` after every `pixels_per_step` of them.
///
/// Shapes    images (N,H,W,C), maps (N,H,W) f32, classes: N values
/// Range     scores in [0,1]; a lower area is more faithful
/// Throws    Error if shapes differ, H·W is not a multiple of pixels_per_step, or there is but one step
/// Notes     NaN for a map that is zero everywhere.
/// Source    Bach et al. 2015, doi:10.1371/journal.pone.0130140, "pixel-flipping"; Quantus 0.5's
/// PixelFlipping.
///           Differs from the paper: several pixels a step, the image's minimum instead of inverted pixels,
///           and the area is normalised by S − 1 (CLXAI reference code)
PixelFlipping pixel_flipping(const Classifier& classifier,
                             const Tensor& images,
                             const Tensor& maps,
                             const std::vector<std::int32_t>& classes,
                             const PixelFlippingOptions& options = {});

}  // namespace clx::xai
