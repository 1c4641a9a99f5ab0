// What ranks of map values are sorted by.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace clx::kernels {

/// From the bits of a float to an integer that grows as the float falls: equal for −0 and 0, the largest for
/// NaN.
CLX_HOST_DEVICE inline std::uint32_t rank_key(std::uint32_t bits, bool magnitude) {
  const std::uint32_t sign = 0x80000000u, size = bits & ~sign;
  const bool negative = bits > sign && !magnitude;
  return size > 0x7f800000u ? 0xffffffffu : negative ? bits : sign - 1 - size;
}

}  // namespace clx::kernels
