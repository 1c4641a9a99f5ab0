// The weight gradient of a convolution as one matrix product for each tap of its filters.
#pragma once

#include "kernels/conv2d.h"

namespace clx::kernels {

/// Whether this is faster than oneDNN, where filters are strided or large beside the images: decided by the
/// sizes of an image and its filters alone.
bool taps_compute_weight(const Conv2dShape&, DType);

/// As conv2d_backward_weight. Exact on integers; bits do not depend on the number of threads.
void taps_backward_weight(const Cpu&, const Conv2dShape&, ConstView x, ConstView dy, float* dw);

}  // namespace clx::kernels
