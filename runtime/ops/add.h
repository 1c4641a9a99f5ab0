// Sum of two tensors.
#pragma once

#include "runtime/tensor.h"

namespace clx {

/// Element-wise sum.
///
///   y = a + b
///
/// Shapes    a, b, y alike; f32 or bf16
/// Gradient  da = db = dy (the same buffer)
/// Throws    Error if shapes, dtypes or devices differ
Tensor add(const Tensor& a, const Tensor& b);

}  // namespace clx
