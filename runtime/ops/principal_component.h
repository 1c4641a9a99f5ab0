// The first principal component of each sample's activations.
#pragma once

#include "kernels/principal.h"
#include "runtime/tensor.h"

namespace clx {

using kernels::ComponentSign;

/// With X (h·w × C) a sample's activations less each channel's spatial mean: y = X·v₁ = σ₁·u₁, v₁ and u₁ the
/// first singular vectors of X.
///
/// Shapes    activation (N,h,w,C) f32 or bf16 → (N,h,w) f32
/// Gradient  none
/// Throws    Error unless activation is (N,h,w,C)
/// Notes     From the Gram matrix X·Xᵀ (or XᵀX, whichever is smaller) in double precision, by repeated
/// squaring;
///           deterministic. Without a gap between the first two singular values, some vector of their common
///           space. NaN activations count as 0; zeros where X is 0, NaN where it is infinite.
Tensor principal_component(const Tensor& activation, ComponentSign sign);

}  // namespace clx
