// From raw class activation maps to maps of the input's size, as pytorch-grad-cam makes them.
#pragma once

#include "runtime/ops/cam.h"
#include "runtime/tensor.h"

namespace clx::xai {

using clx::CamMaps;

/// The path of every CAM from its raw signed map: ReLU → min-max → resize → ReLU → min-max.
///
/// Shapes    raw (N,h,w) f32 → (N,height,width) f32 in [0,1]
/// Throws    Error unless raw is (N,h,w) f32 and the extents are positive
/// Notes     A raw map without a positive value becomes all zeros; metrics flag such maps.
/// Source    Selvaraju et al. 2017, arXiv:1610.02391, eq. 2 (ReLU). Differs from the paper: both
///           normalisations and the resize are pytorch-grad-cam 1.5.5's (one target layer)
Tensor finish_maps(const Tensor& raw, int height, int width);

}  // namespace clx::xai
