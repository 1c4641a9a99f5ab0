// The convolutions of conv2d.h on the tensor cores: bf16 operands, or f32 operands rounded to tf32.
// Included by kernels/cuda/*.cu only.
#pragma once

#include "kernels/conv2d.h"
#include "kernels/cuda/launch.h"

namespace clx::kernels {

/// Contracts as in conv2d.h, for every shape.
void conv2d_forward_tensor_core(
    const Gpu&, const Conv2dShape&, ConstView x, ConstView w, const Conv2dEpilogue&, View y);
void conv2d_backward_data_tensor_core(
    const Gpu&, const Conv2dShape&, ConstView dy, ConstView w, View dx, ConstView others);
void conv2d_backward_weight_tensor_core(const Gpu&, const Conv2dShape&, ConstView x, ConstView dy, float* dw);

}  // namespace clx::kernels
