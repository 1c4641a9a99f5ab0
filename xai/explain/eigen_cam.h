// Eigen-CAM: the first principal component of a layer's activations.
#pragma once

#include <string_view>

#include "runtime/tensor.h"

namespace clx::xai {

/// A singular vector has no sign; this is how one is chosen.
enum class EigenSign {
  lapack,     // what LAPACK's dgesdd returns: numpy's and so pytorch-grad-cam's map
  top_left,   // the top-left position is negative (background)
  mean_corr,  // positively correlated with the mean activation
  max_abs,    // the largest magnitude is positive
};

/// "lapack", "top-left", "mean-corr" or "max-abs". Throws Error for anything else.
EigenSign parse_eigen_sign(std::string_view text);

/// The raw signed map of each sample: with X (h·w × C) the activations less each channel's spatial mean,
/// raw = X·v₁, v₁ the first right singular vector of X.
///
/// Shapes    activation (N,h,w,C) f32 or bf16 → raw (N,h,w) f32
/// Gradient  none
/// Throws    Error if activation is not (N,h,w,C)
/// Notes     `lapack` runs the full singular value decomposition on the host; the other signs use the
///           Gram matrix X·Xᵀ on the device (runtime/ops/principal_component.h), whose first eigenvector
///           times σ₁ is the same projection. NaN activations count as 0.
/// Source    Muhammad & Yeasin 2020, arXiv:2008.00299, §III. Differs from the paper: the channels are
///           centred (as in pytorch-grad-cam 1.5.5), and finish_maps drops the negative half
Tensor eigen_cam(const Tensor& activation, EigenSign sign);

}  // namespace clx::xai
