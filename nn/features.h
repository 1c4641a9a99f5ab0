// What an encoder says of whole data sets.
#pragma once

#include <cstdint>
#include <string>

#include "nn/data/dataset.h"
#include "nn/data/image_source.h"
#include "nn/models/model.h"

namespace clx::nn {

/// The pooled features of all images of a data set, in its order: in evaluation mode, without augmentation
/// and history, images normalised as those the model was trained on. In the place of an image that is skipped
/// stands the next one of its class. The model's mode is as before afterwards.
///
/// Shapes    M images → (M,D) f32 on the model's device, not normalised
Tensor features_of(Model& model,
                   const data::Dataset& set,
                   Device device,
                   int batch_size = 256,
                   data::OnBadImage on_bad = data::OnBadImage::fail);

/// Sixteen hexadecimal digits that tell one encoder from another: a hash of the weights and running
/// statistics before the head. It does not depend on the head, the precision, the device or the file. Notes
/// FNV-1a, 64 bits, of names and values in the order of visit(): against mistakes, not attacks.
std::string encoder_hash(Model& model);

/// The same of all weights and running statistics, the head's too.
std::string model_hash(Model& model);

}  // namespace clx::nn
