// The convolutions of conv2d.h in bf16 on the tensor cores of H100 and H200 (sm_90a), for many channels.
// Included by kernels/cuda/*.cu only.
#pragma once

#include <initializer_list>

#include "kernels/conv2d.h"
#include "kernels/cuda/launch.h"

namespace clx::kernels {

/// Whether the functions below take this convolution of bf16 tensors: on this device, with C and K multiples
/// of 64, a stride of at most 2, and memory aligned to 16 bytes. It does not depend on N: an image's result
/// must not depend on its batch.
bool takes_wgmma(const Gpu&, const Conv2dShape&, std::initializer_list<const void*> memory);

/// Contracts as in conv2d.h.
int conv2d_moment_parts_wgmma(const Gpu&, const Conv2dShape&);
void conv2d_forward_wgmma(
    const Gpu&, const Conv2dShape&, ConstView x, ConstView w, const Conv2dEpilogue&, View y);
void conv2d_backward_data_wgmma(
    const Gpu&, const Conv2dShape&, ConstView dy, ConstView w, View dx, ConstView others);
void conv2d_backward_weight_wgmma(const Gpu&, const Conv2dShape&, ConstView x, ConstView dy, float* dw);

}  // namespace clx::kernels
