// Rectified linear unit.
#pragma once

#include "runtime/tensor.h"

namespace clx {

/// y = max(x, 0).
///
/// Shapes    any; f32 or bf16
/// Gradient  dx = dy where y > 0, else 0 (so 0 at x = 0)
/// Throws    Error if x is not a floating type
Tensor relu(const Tensor& x);

}  // namespace clx
