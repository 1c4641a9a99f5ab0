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

/// What is removed at once.
enum class FlipMode {
  pixel,    // a pixel, all its channels: Quantus 0.5
  channel,  // one channel of a pixel, in the order of the map repeated for every channel: Quantus 0.6
};

/// "pixel" or "channel". Throws Error for anything else.
FlipMode parse_flip_mode(std::string_view text);

/// What removed pixels become, in normalised space.
enum class FlipBaseline {
  image_min,   // the least value of the image over all channels: Quantus' "black"
  zero,        // 0, the data set's mean colour
  true_black,  // black before normalisation: PixelFlippingOptions::values
  mean,        // the image's mean of each channel
  value,       // PixelFlippingOptions::values
};

/// "image-min", "zero", "true-black", "mean" or "value". Throws Error for anything else.
FlipBaseline parse_flip_baseline(std::string_view text);

struct PixelFlippingOptions {
  int pixels_per_step = 0;  // 0: the image's width, as the reference has it (32 of 32×32, 224 of 224×224);
                            // values of single channels in channel mode
  FlipBaseline baseline = FlipBaseline::image_min;
  int batch_size = 0;  // images per forward pass; 0: as many as max_memory holds. Does not change the result
  FlipMode mode = FlipMode::pixel;
  std::vector<float> values = {};  // of true_black and value: one for all channels or one for each
  std::int64_t max_memory = std::int64_t{1} << 30;  // bytes of flipped images and their forward pass
  Classifier replayed = {};  // of whole batches, if not the same: the classifier by a graph (runtime/graph.h)
};

/// N values each; curves N·S.
struct PixelFlipping {
  int steps = 0;               // S
  int batch_size = 0;          // images per forward pass, as given or found
  std::vector<double> p0;      // softmax score of the unperturbed image
  std::vector<double> curves;  // softmax score after each step
  std::vector<double> auc;     // Σ_{s=1}^{S−1} (p_s + p_{s+1})/2 / (S − 1): without p0, as the reference
  std::vector<double> auc_with_p0;  // Σ_{s=0}^{S−1} (p_s + p_{s+1})/2 / S
  std::vector<double> auc_over_p0;  // auc / p0: comparable between models of different confidence
};

/// Removes pixels in descending order of the map, ties in raster order, and records the softmax score of
/// `classes` after every `pixels_per_step` of them. Several maps of the same images share the classification
/// of the unperturbed image and of that without any pixel left.
///
/// Shapes    images (N,H,W,C) f32 or bf16, each of maps (N,H,W) f32, classes: N values → one for each of maps
/// Range     scores in [0,1]; a lower area is more faithful
/// Throws    Error if shapes differ, a class is not one of the classifier's, H·W is not a multiple of
///           pixels_per_step, there is but one step, or `values` are missing
/// Notes     NaN for a map that is zero everywhere, but for p0. Everything but the classifier's own work is
///           done on the images' device, for which it waits in the end. Unless batch_size is given, the
///           first three batches are small ones, which tell how much memory an image needs; they reset the
///           allocator's peak.
/// Source    Bach et al. 2015, doi:10.1371/journal.pone.0130140, "pixel-flipping"; Quantus' PixelFlipping.
///           Differs from the paper: several pixels a step, the image's minimum instead of inverted pixels,
///           and the area is normalised by S − 1 (CLXAI reference code)
std::vector<PixelFlipping> pixel_flipping(const Classifier& classifier,
                                          const Tensor& images,
                                          const std::vector<Tensor>& maps,
                                          const std::vector<std::int32_t>& classes,
                                          const PixelFlippingOptions& options = {});
/// The same of one map for each image.
PixelFlipping pixel_flipping(const Classifier& classifier,
                             const Tensor& images,
                             const Tensor& maps,
                             const std::vector<std::int32_t>& classes,
                             const PixelFlippingOptions& options = {});

}  // namespace clx::xai
