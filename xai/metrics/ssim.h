// How alike two explanations look: continuity and contrastivity are means of it.
#pragma once

#include <vector>

#include "runtime/ops/ssim.h"
#include "runtime/tensor.h"

namespace clx::xai {

using clx::SsimOptions;

/// Structural similarity of each pair of maps; runtime/ops/ssim.h has the formula.
///
/// Shapes    a, b (N,H,W) f32, alike → N values
/// Range     [−1, 1]. Between the maps of an image and of the image with noise, higher is more continuous;
///           between the maps of two classes, lower is more contrastive
/// Throws    Error if shapes differ or the maps are smaller than the window
/// Notes     1 for two maps that are zero everywhere, about 0 for one such map: see `all_zero`.
/// Source    scikit-image's structural_similarity
std::vector<double> ssim(const Tensor& a, const Tensor& b, const SsimOptions& options = {});

}  // namespace clx::xai
