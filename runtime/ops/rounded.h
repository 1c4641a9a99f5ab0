// bf16 copies of f32 parameters, kept until the parameter is written. Internal to runtime/ops.
#pragma once

#include "runtime/tensor.h"

namespace clx {

/// `w` in `dtype`: itself, or its rounded copy, made at most once per version of w's storage.
Tensor rounded(const Tensor& w, DType dtype);

}  // namespace clx
