// What the machine can do, measured by our own simplest programs.
#pragma once

#include "apps/bench/case.h"

namespace clx::app {

struct Peaks {
  double product_f32 = 0,
         product_bf16 = 0;  // FLOP/s of a large matrix product, the better of matmul and conv2d
  double copy = 0;          // bytes/s read and written by copying a large tensor

  double of(const Case& row) const {
    if (row.bound == Bound::memory) return copy;
    return row.dtype == DType::bf16 ? product_bf16 : product_f32;
  }
};

/// The best of several runs each.
Peaks measure_peaks(Device device);

}  // namespace clx::app
