// Checks that ops share. Internal to runtime/ops.
#pragma once

#include "runtime/check.h"
#include "runtime/tensor.h"

namespace clx {

/// Throws Error unless `t` is a tensor of f32 or bf16.
inline void require_floating(const char* op, const char* name, const Tensor& t) {
  CLX_CHECK(t.defined(), op, ": expected a tensor for ", name, ", got none");
  CLX_CHECK(t.dtype() == DType::f32 || t.dtype() == DType::bf16, op, ": expected f32 or bf16 for ", name,
            ", got ", name_of(t.dtype()));
}

/// Throws Error unless `t` has this dtype, shape and device.
inline void require(
    const char* op, const char* name, const Tensor& t, DType dtype, const Shape& shape, Device device) {
  CLX_CHECK(t.defined(), op, ": expected a tensor for ", name, ", got none");
  CLX_CHECK(t.dtype() == dtype, op, ": expected ", name_of(dtype), " for ", name, ", got ",
            name_of(t.dtype()));
  CLX_CHECK(t.shape() == shape, op, ": expected shape ", shape, " for ", name, ", got ", t.shape());
  CLX_CHECK(t.device() == device, op, ": expected ", name, " on ", device, ", got it on ", t.device());
}

/// Throws Error unless `t` has `rank` axes and at least one element.
inline void require_rank(const char* op, const char* form, const Tensor& t, int rank) {
  CLX_CHECK(t.rank() == rank, op, ": expected ", form, ", got shape ", t.shape());
  CLX_CHECK(t.size() > 0, op, ": expected at least one element, got shape ", t.shape());
}

}  // namespace clx
