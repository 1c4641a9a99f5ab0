// Maps averaged over views of the image.
#pragma once

#include <functional>
#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// Finished maps (N,H,W), one tensor for each of some methods, of normalised images (N,H,W,C).
using Explain = std::function<std::vector<Tensor>(const Tensor& images)>;

/// The mean of the maps of six views of each image: as it is and mirrored, each times 0.9, 1 and 1.1. The
/// maps of mirrored views are mirrored back.
///
/// Shapes    images (N,H,W,C) f32 or bf16 → what `explain` returns, f32 on the images' device
/// Throws    Error if images or maps are of another form
/// Notes     The factors change the contrast around the data set's mean. Every view's maps are finished
///           (scaled to [0,1]) and their mean is not scaled again: it may not reach 0 or 1. Summed in f32
///           in the order above.
/// Source    pytorch-grad-cam 1.5.5, aug_smooth=True
std::vector<Tensor> aug_smooth(const Tensor& images, const Explain& explain);

}  // namespace clx::xai
