// Batches out of a data set that lives on the device: gather, crop, flip, normalise.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "kernels/step_state.h"

namespace clx::kernels {

/// images (·,H,W,C) u8; batch of N; C ≤ 4.
struct GatherShape {
  int N = 0, H = 0, W = 0, C = 0;
  int padding = 0;    // > 0: a random H×W crop of the image padded with zeros (black) on each side
  bool flip = false;  // mirror with probability 1/2
};

/// Per-channel mean and standard deviation of pixels in [0,1].
struct Normalization {
  float mean[4] = {0, 0, 0, 0};
  float std[4] = {1, 1, 1, 1};
};

/// y[n] = (flip?(crop(images[samples[n]]))/255 − mean)/std, y (N,H,W,C) f32 or bf16. The black border is
/// padded before normalisation. Crop and flip are drawn with Philox keyed by (state->seed,
/// Purpose::crop_flip, state->epoch, samples[n]), so they do not depend on the batch: word 0 gives the
/// crop's top and word 1 its left, each uniform over 2·padding + 1, and word 2 mirrors where it is below one
/// half. `state` may be null if padding = 0 and flip = false.
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

/// y[n] = labels[samples[n]].
void gather_labels(
    const Cpu&, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y);
void gather_labels(
    const Cuda&, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y);
void gather_labels(
    const Emulated&, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y);

}  // namespace clx::kernels
