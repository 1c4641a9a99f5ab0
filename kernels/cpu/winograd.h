// 3×3 convolutions with stride 1 by Winograd's F(4×4,3×3): a quarter of the multiplications.
#pragma once

#include "kernels/conv2d.h"

namespace clx::kernels {

/// Whether these compute a convolution and its data gradient / its weight gradient of operands of a type:
/// as the shape's algorithm says, which by itself is decided by the sizes of an image and its filters alone,
/// so that neither the batch nor the machine changes a result.
bool winograd_computes(const Conv2dShape&, DType);
bool winograd_computes_weight(const Conv2dShape&, DType);

/// As conv2d_forward, conv2d_backward_data and conv2d_backward_weight. Of f32 operands an error is about 1e-6
/// of the largest result, and of weight gradients always. Of bf16 operands what is multiplied are 16-bit
/// fixed-point numbers (winograd_tiles.h), which adds errors about as large as those of rounding results to
/// bf16: together 0.2 % of the results' root mean square on normal numbers. Bits do not depend on the number
/// of threads, nor on the batch for an image.
void winograd_forward(const Cpu&,
                      const Conv2dShape&,
                      ConstView x,
                      ConstView w,
                      const Conv2dEpilogue&,
                      View y,
                      const void* prepared);
void winograd_backward_data(
    const Cpu&, const Conv2dShape&, ConstView dy, ConstView w, View dx, ConstView others);
void winograd_backward_weight(const Cpu&, const Conv2dShape&, ConstView x, ConstView dy, float* dw);

/// As conv2d_prepared_bytes and conv2d_prepare, where winograd_computes.
std::size_t winograd_prepared_bytes(const Conv2dShape&, DType);
void winograd_prepare(const Cpu&, const Conv2dShape&, ConstView w, void* prepared);

}  // namespace clx::kernels
