// Rows of unit length.
#pragma once

#include "runtime/tensor.h"

namespace clx {

/// y_i = x_i / max(‖x_i‖, 1e-12) for every row i.
///
/// Shapes    x (N,D) f32 → y (N,D)
/// Gradient  dx_i = (dy_i − y_i·(y_i·dy_i))/‖x_i‖; dy_i/1e-12 where ‖x_i‖ ≤ 1e-12
/// Throws    Error if x is not a matrix of f32 with at least one element
/// Notes     A row of zeros stays one. Lengths are summed in f64.
/// Source    as torch.nn.functional.normalize(x, dim=1)
Tensor l2_normalize(const Tensor& x);

}  // namespace clx
