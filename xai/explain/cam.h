// From raw class activation maps to maps of the input's size, as pytorch-grad-cam makes them.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// Bilinear resize with half-pixel centres and clamped edges: OpenCV's INTER_LINEAR for f32, equal to
/// PyTorch's interpolate(mode='bilinear', align_corners=False).
///
/// Shapes    maps (N,h,w) f32 → (N,height,width), on the cpu
/// Throws    Error unless maps is (N,h,w) f32 and the extents are positive
/// Notes     Interpolates horizontally first, f32 throughout.
Tensor resize_bilinear(const Tensor& maps, int height, int width);

/// (m − min)/(1e-7 + max(m − min)) of each map (N,h,w); a constant map becomes all zeros.
Tensor min_max_normalize(const Tensor& maps);

/// The path of every CAM from its raw signed map: ReLU → min-max → resize → ReLU → min-max.
///
/// Shapes    raw (N,h,w) f32 → (N,height,width) f32 in [0,1], on the cpu
/// Notes     A raw map without a positive value becomes all zeros; metrics flag such maps.
/// Source    Selvaraju et al. 2017, arXiv:1610.02391, eq. 2 (ReLU). Differs from the paper: both
///           normalisations and the resize are pytorch-grad-cam 1.5.5's (one target layer)
Tensor finish_maps(const Tensor& raw, int height, int width);

/// Values uniform in [0,1), keyed by (seed, sample): the control that any explanation should beat.
///
/// Shapes    samples holds N sample ids → (N,height,width) f32
Tensor random_maps(const std::vector<std::int64_t>& samples, int height, int width, std::uint64_t seed);

}  // namespace clx::xai
