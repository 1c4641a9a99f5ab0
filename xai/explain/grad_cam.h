// Grad-CAM: channels weighted by how much the score depends on them.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// The raw signed map of each sample.
///
///   alpha_k = mean_ij gradient_ijk,  raw_ij = Σ_k alpha_k·activation_ijk
///
/// Shapes    activation A (N,h,w,C) of the explained layer and gradient ∂score/∂A, alike, f32 or bf16
///           → raw (N,h,w) f32, on the cpu
/// Gradient  none
/// Throws    Error if shapes differ
/// Source    Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2; the ReLU is in finish_maps
Tensor grad_cam(const Tensor& activation, const Tensor& gradient);

/// The same map without a backward pass, where the layer is followed by global average pooling and a
/// linear head: alpha_k = w[class,k]/(h·w).
///
/// Shapes    activation (N,h,w,C), head_weight (K,C) f32, classes: N values within 0…K − 1
/// Throws    Error if C differs or a class is out of range
/// Source    Zhou et al. 2016, arXiv:1512.04150, eq. 2, to which Grad-CAM reduces here
Tensor grad_cam_linear_head(const Tensor& activation,
                            const Tensor& head_weight,
                            const std::vector<std::int32_t>& classes);

}  // namespace clx::xai
