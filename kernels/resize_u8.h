// The two passes of a resize of 8-bit images in fixed point. Of the host alone: loader threads resize what
// they decode.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace clx::kernels {

/// Output pixel i of an axis is (2²¹ + Σ weights[i·most + k]·x[first[i] + k]) / 2²², k < count[i] ≤ most,
/// clipped to 0 … 255. The weights of a pixel are at least 0 and sum to about 2²².
struct FixedFilter {
  int out = 0, most = 0;
  const int *first = nullptr, *count = nullptr;
  const std::int32_t* weights = nullptr;
};

/// The pixels of a row: x (rows, ·, C) whose rows are `stride` bytes apart and `width` pixels long → y (rows,
/// out, C).
void resize_rows(const Cpu&,
                 int rows,
                 int width,
                 int C,
                 const std::uint8_t* x,
                 std::int64_t stride,
                 const FixedFilter&,
                 std::uint8_t* y);

/// The rows: x (·, n bytes), `stride` bytes apart → y (out, n).
void resize_columns(
    const Cpu&, int n, const std::uint8_t* x, std::int64_t stride, const FixedFilter&, std::uint8_t* y);

}  // namespace clx::kernels
