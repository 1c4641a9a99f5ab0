// Batch normalisation of a convolution's results as part of its filters, for inference.
#pragma once

#include "runtime/tensor.h"

namespace clx {

struct FoldedFilters {
  Tensor w;     // (K,R,S,C)
  Tensor bias;  // (K)
};

/// Filters and a bias with which conv2d alone gives what it gives with `w`, followed by batchnorm in
/// evaluation.
///
///   w'[k,…] = w[k,…]·gamma[k]/√(running_var[k] + eps)
///   bias[k] = beta[k] − running_mean[k]·gamma[k]/√(running_var[k] + eps)
///
/// Shapes    w (K,R,S,C), the others (K); all f32, on one device
/// Gradient  none
/// Throws    Error if shapes, types or devices differ from these
/// Notes     Products are rounded in another order than those of the two steps.
FoldedFilters fold_batchnorm(const Tensor& w,
                             const Tensor& gamma,
                             const Tensor& beta,
                             const Tensor& running_mean,
                             const Tensor& running_var,
                             float eps = 1e-5f);

}  // namespace clx
