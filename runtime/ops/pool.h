// Pooling: windows' maxima, whole-image means, and the subsampling shortcut of ResNet's option A.
#pragma once

#include "runtime/tensor.h"

namespace clx {

struct MaxPoolOptions {
  int window = 2;
  int stride = 2;
  int padding = 0;
};

/// Maximum over windows; padding never wins.
///
/// Shapes    x (N,H,W,C) → y (N,P,Q,C), P = ⌊(H + 2·padding − window)/stride⌋ + 1
/// Gradient  dy goes to the first maximum in row-major order
/// Throws    Error if padding > window/2, window > 15 or the window exceeds the padded image
Tensor max_pool(const Tensor& x, const MaxPoolOptions& options);

/// y[n,c] = mean over H,W of x[n,·,·,c], in f32 whatever x's dtype.
///
/// Shapes    x (N,H,W,C) → y (N,C) f32
/// Gradient  dx = dy/(H·W), in x's dtype
Tensor global_average_pool(const Tensor& x);

/// Every stride-th pixel, channels padded with zeros on both sides to `channels`.
///
/// Shapes    x (N,H,W,C) → y (N,⌈H/stride⌉,⌈W/stride⌉,channels)
/// Gradient  dy at the pixels taken, 0 elsewhere
/// Throws    Error if channels − C is negative or odd
/// Source    He et al. 2015, arXiv:1512.03385, §3.3 option A
Tensor subsample(const Tensor& x, int channels, int stride);

}  // namespace clx
