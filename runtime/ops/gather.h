// Batches out of a data set that lives on the device.
#pragma once

#include <vector>

#include "runtime/step.h"
#include "runtime/tensor.h"

namespace clx {

struct GatherOptions {
  std::vector<float> mean{}, std{};  // per channel, of pixels in [0,1]; empty: 0 and 1
  int padding = 0;                   // random crop out of the image padded with this many black pixels
  bool flip = false;                 // random mirror image
  DType dtype = DType::f32;
};

/// The images `samples` of `images`, augmented and normalised: (flip?(crop(image))/255 − mean)/std.
///
/// Shapes    images (M,H,W,C) u8, samples (N) i64 → (N,H,W,C)
/// Gradient  none
/// Throws    Error if shapes or channel counts differ, or (on the cpu) a sample is out of range
/// Notes     Augmentations are a function of (seed, epoch, sample), never of the batch or the device.
Tensor gather_images(const Tensor& images,
                     const Tensor& samples,
                     const Step& step,
                     const GatherOptions& options);

/// labels[samples], i32.
Tensor gather_labels(const Tensor& labels, const Tensor& samples);

}  // namespace clx
