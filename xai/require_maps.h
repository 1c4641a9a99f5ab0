// The check that explanation maps share. Internal to xai.
#pragma once

#include "runtime/check.h"
#include "runtime/tensor.h"

namespace clx::xai {

/// Throws Error unless `maps` is (N,h,w) of f32 with at least one element.
inline void require_maps(const char* who, const Tensor& maps) {
  CLX_CHECK(maps.defined() && maps.rank() == 3 && maps.size() > 0 && maps.dtype() == DType::f32, who,
            ": expected maps (N,h,w) of f32, got ", maps.defined() ? concat("shape ", maps.shape()) : "none");
}

}  // namespace clx::xai
