// Change of element type.
#pragma once

#include "runtime/tensor.h"

namespace clx {

/// x in another floating type; bf16 rounds to nearest even. Shares storage if the type is the same.
///
/// Gradient  none: networks hold no casts; parameters are f32 and ops round them where needed
/// Throws    Error if either type is not f32 or bf16
Tensor convert(const Tensor& x, DType dtype);

}  // namespace clx
