// Batches out of a data set that lives on the device: gather, crop, resize, flip, colours, blur, normalise.
#pragma once

#include <cstdint>

#include "kernels/augment_draw.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "kernels/step_state.h"

namespace clx::kernels {

/// images (·,H,W,C) u8; batch of N; C ≤ 4.
struct GatherShape {
  int N = 0, H = 0, W = 0, C = 0;
  int padding = 0;        // > 0: a random H×W crop of the image padded with zeros (black) on each side
  bool flip = false;      // mirror with probability 1/2
  int view = 0;           // another view is another draw
  bool in_order = false;  // image n is images[n]; samples[n] only names it to the draw
};

/// Per-channel mean and standard deviation of pixels in [0,1].
struct Normalization {
  float mean[4] = {0, 0, 0, 0};
  float std[4] = {1, 1, 1, 1};
};

/// y[n] = (flip?(crop(images[samples[n]]))/255 − mean)/std, y (N,H,W,C) f32 or bf16. The black border is
/// padded before normalisation. Crop and flip are drawn with Philox keyed by (state->seed,
/// Purpose::crop_flip, state->epoch, samples[n], view) as draw_augmentation says, so they do not depend on
/// the batch. `state` may be null if padding = 0 and flip = false.
void gather_images(const Cpu&,
                   const GatherShape&,
                   const Normalization&,
                   const std::uint8_t* images,
                   const std::int64_t* samples,
                   const StepState* state,
                   View y);
void gather_images(const Cuda&,
                   const GatherShape&,
                   const Normalization&,
                   const std::uint8_t* images,
                   const std::int64_t* samples,
                   const StepState* state,
                   View y);
void gather_images(const Emulated&,
                   const GatherShape&,
                   const Normalization&,
                   const std::uint8_t* images,
                   const std::int64_t* samples,
                   const StepState* state,
                   View y);

/// images (·,H,W,C) u8 to a batch of N of height×width. Without rule.resize, height = H and width = W.
struct AugmentShape {
  int N = 0, H = 0, W = 0, C = 0;
  int height = 0, width = 0;
  int view = 0;
  bool in_order = false;  // image n is images[n]; samples[n] only names it to the draw
  AugmentRule rule{};     // colours need C = 3
};

constexpr int kBlurRadius = 11;  // of the blur's 23×23 filter

/// y (N,height,width,C) f32 or bf16. Image n is images[samples[n]] after what draw_augmentation says, in f32
/// within [0,1]: the box, resampled with the triangle filter (kernels/resample.h) if rule.resize; mirrored;
/// its colours changed; grayscale; blurred; (· − mean)/std.
/// Colours: blend(d, x, f) = clamp(f·x + (1 − f)·d, 0, 1) with d = 0 for brightness, the image's mean of
/// gray for contrast, the pixel's gray for saturation; gray = 0.2989 R + 0.587 G + 0.114 B; hue adds turns
/// to the H of HSV. The blur is a Gaussian over 23×23 pixels, the image reflected beyond its border without
/// repeating it; taps below 1e-7 of the middle one may be left out.
void augment_images(const Cpu&,
                    const AugmentShape&,
                    const Normalization&,
                    const std::uint8_t* images,
                    const std::int64_t* samples,
                    const StepState* state,
                    View y);
void augment_images(const Cuda&,
                    const AugmentShape&,
                    const Normalization&,
                    const std::uint8_t* images,
                    const std::int64_t* samples,
                    const StepState* state,
                    View y);
void augment_images(const Emulated&,
                    const AugmentShape&,
                    const Normalization&,
                    const std::uint8_t* images,
                    const std::int64_t* samples,
                    const StepState* state,
                    View y);

/// y[n] = labels[samples[n]].
void gather_labels(
    const Cpu&, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y);
void gather_labels(
    const Cuda&, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y);
void gather_labels(
    const Emulated&, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y);

}  // namespace clx::kernels
