// Augmented batches: what is drawn for a view of a sample, and the images it makes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/augment_draw.h"
#include "runtime/step.h"
#include "runtime/tensor.h"

namespace clx {

/// A part of the image, resized: its share of the area is uniform within the scales, the logarithm of its
/// width over height uniform within those of the ratios.
struct ResizedCrop {
  double scale_low = 0.08, scale_high = 1;
  double ratio_low = 3.0 / 4.0, ratio_high = 4.0 / 3.0;
};

/// Brightness, contrast, saturation (factors uniform within 1 ± strength, at least 0) and hue (turns uniform
/// within ± strength, at most 1/2), in random order; with probability p all of them, otherwise none.
struct ColorJitter {
  float brightness = 0, contrast = 0, saturation = 0, hue = 0;
  float p = 0.8f;
};

/// A Gaussian of 23×23 pixels with sigma uniform within the bounds, with probability p.
struct GaussianBlur {
  float p = 0.5f;
  float sigma_low = 0.1f, sigma_high = 2;
};

/// The steps happen in the order of the members; what is left out does not happen.
struct AugmentOptions {
  std::vector<float> mean{}, std{};  // per channel, of pixels in [0,1]; empty: 0 and 1
  int padding = 0;                   // random crop out of the image padded with this many black pixels
  std::optional<ResizedCrop> resized_crop{};  // instead of padding
  int height = 0, width = 0;                  // of the output of a resized crop; 0: the image's own
  bool flip = false;                          // mirror image with probability 1/2
  std::optional<ColorJitter> jitter{};
  float grayscale = 0;  // probability
  std::optional<GaussianBlur> blur{};
  DType dtype = DType::f32;
};

/// The images `samples` of `images`, augmented and normalised: (blur(gray(jitter(flip(crop(image/255)))))
/// − mean)/std.
///
/// Shapes    images (M,H,W,C) u8, samples (N) i64 → (N,H,W,C), or (N,height,width,C) of a resized crop
/// Gradient  none
/// Throws    Error if shapes, channels, ranges or probabilities do not fit; if jitter or grayscale are asked
///           of images without three channels; or (on the cpu) a sample is out of range
/// Notes     Augmentations are a function of (seed, epoch, sample, view), never of the batch, the device or
///           the threads; `view` tells two draws of one sample apart. All steps are in f32 and nothing is
///           rounded to 8 bits between them; pil_augment does that. Definitions in kernels/augment.h.
/// Source    torchvision's transforms on tensors; docs/training/augmentation.md
Tensor augment_images(const Tensor& images,
                      const Tensor& samples,
                      const Step& step,
                      const AugmentOptions& options,
                      int view = 0);

/// The same for a batch that is already in place: image n is images[n], and samples[n] (any number ≥ 0) only
/// names it to the draw.
Tensor augment_batch(const Tensor& images,
                     const Tensor& samples,
                     const Step& step,
                     const AugmentOptions& options,
                     int view = 0);

/// What the options ask for, as kernels take it. Throws Error if a value is out of range.
AugmentRule augment_rule(const AugmentOptions& options);

/// What the two above draw for an image of H×W (draw_augmentation, kernels/augment_draw.h).
Augmentation draw_augmentation(const AugmentOptions& options,
                               int H,
                               int W,
                               std::uint64_t seed,
                               int epoch,
                               std::int64_t sample,
                               int view = 0);

}  // namespace clx
