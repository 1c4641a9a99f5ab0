// The tensors of a step of AdamW or RAdam, as its kernel takes them. Internal to runtime/ops.
#pragma once

#include <vector>

#include "kernels/adam.h"
#include "runtime/step.h"
#include "runtime/tensor.h"

namespace clx {

/// What the kernel updates: every parameter that has a gradient. Means that are undefined are made.
/// Throws    Error if numbers, shapes, dtypes or devices differ
std::vector<kernels::AdamTensor> adam_tensors(const char* op,
                                              std::vector<Tensor>& parameters,
                                              std::vector<Tensor>& means,
                                              std::vector<Tensor>& squares,
                                              Device device);

}  // namespace clx
