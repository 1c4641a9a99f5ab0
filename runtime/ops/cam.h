// Class activation maps: from a layer's activations to maps of the image's size, on the device.
#pragma once

#include "runtime/tensor.h"

namespace clx {

struct CamMaps {
  Tensor raw;   // (N,h,w) f32, signed
  Tensor maps;  // (N,height,width) f32 within [0,1]
  Tensor zero;  // (N) u8: 1 where no raw value is above 0 and so the map is zero everywhere
};

/// The path of every map from its raw, signed form: ReLU → min-max → bilinear resize → ReLU → min-max, with
/// min-max(m) = (m − min)/(1e-7 + max − min).
///
/// Shapes    raw (N,h,w) f32 → as CamMaps says
/// Gradient  none
/// Throws    Error unless raw is (N,h,w) of f32 and height and width are above 0
/// Notes     f32 throughout, every product and sum rounded on its own, as OpenCV's INTER_LINEAR has it. A NaN
///           makes its map NaN.
CamMaps finish_cam(const Tensor& raw, int height, int width);

/// The same from activations: raw_ij = Σ_k alpha_k·activation_ijk, in one kernel.
///
/// Shapes    activation (N,h,w,C) f32 or bf16, alpha (N,C) f32 → as CamMaps says
/// Throws    Error if shapes or devices differ
CamMaps weighted_cam(const Tensor& activation, const Tensor& alpha, int height, int width);

}  // namespace clx
