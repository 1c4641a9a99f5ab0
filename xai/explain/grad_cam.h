// Grad-CAM: channels weighted by how much the score depends on them.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/ops/cam.h"
#include "runtime/tensor.h"

namespace clx::xai {

/// The map of each sample, raw and finished (xai/explain/cam.h).
///
///   alpha_k = mean_ij gradient_ijk,  raw_ij = Σ_k alpha_k·activation_ijk
///
/// Shapes    activation A (N,h,w,C) of the explained layer and gradient ∂score/∂A, alike, f32 or bf16
///           → maps (N,height,width) f32
/// Gradient  none
/// Throws    Error if shapes differ
/// Source    Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2
CamMaps grad_cam(const Tensor& activation, const Tensor& gradient, int height, int width);

/// What follows the explained layer: global average pooling to features f, then scores of this form.
struct LinearHead {
  Tensor weight;            // W (K,C) f32
  bool normalized = false;  // scores = W·f/‖f‖ + b instead of W·f + b
};

/// The same maps without going back through the network, where the layer is followed by global average
/// pooling and a linear head. With c the class:
///
///   alpha_k = W_ck/(h·w);  normalised: alpha_k = (W_ck − s·f_k/‖f‖)/(h·w·‖f‖),  s = Σ_k W_ck·f_k/‖f‖
///
/// Shapes    activation (N,h,w,C), classes: N values within 0…K − 1 → maps (N,height,width) f32
/// Throws    Error if C differs or a class is out of range
/// Notes     Without normalisation Σ_ij raw_ij is the score less its bias. With it the sum is 0: the score
///           does not change with the length of f, so about half of every map is negative. ‖f‖ below 1e-12
///           counts as 1e-12, and s as 0.
/// Source    Zhou et al. 2016, arXiv:1512.04150, eq. 2, to which Grad-CAM reduces without normalisation
CamMaps grad_cam_linear_head(const Tensor& activation,
                             const LinearHead& head,
                             const std::vector<std::int32_t>& classes,
                             int height,
                             int width);
/// The same of classes (N) i32 on the activations' device, where nobody checks their range.
CamMaps grad_cam_linear_head(
    const Tensor& activation, const LinearHead& head, const Tensor& classes, int height, int width);

}  // namespace clx::xai
