// Structural similarity of pairs of maps.
#pragma once

#include "runtime/tensor.h"

namespace clx {

struct SsimOptions {
  double data_range = 1;  // largest minus least value that a map may have
  int window = 7;         // side of the uniform window, odd
  bool gaussian = false;  // weigh by a Gaussian of `sigma`, cut off at 3.5·sigma, instead
  double sigma = 1.5;
  bool sample_covariance = true;  // variances are divided by n − 1; for uniform windows only
  double k1 = 0.01, k2 = 0.03;
};

/// For each pair of maps, the mean over the windows that lie within them of
///
///   S = (2·μ_a·μ_b + c₁)(2·σ_ab + c₂) / ((μ_a² + μ_b² + c₁)(σ_a² + σ_b² + c₂)),  c_i = (k_i·data_range)²
///
/// Shapes    a, b (N,H,W) f32, alike → (N) f32
/// Range     [−1, 1]; 1 for equal maps, also where both are zero
/// Gradient  none
/// Throws    Error if shapes or devices differ, the window is even, above 31 or larger than the maps, or
///           data_range is not above 0
/// Notes     Computed in double precision; variances are not clamped at 0.
/// Source    Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13. Differs from the paper: uniform windows
///           of 7×7 and sample covariance by default, as in scikit-image's structural_similarity;
///           `gaussian` is the paper's window (11×11, σ = 1.5) as scikit-image has it with
///           gaussian_weights=True, use_sample_covariance=False
Tensor structural_similarity(const Tensor& a, const Tensor& b, const SsimOptions& options = {});

}  // namespace clx
