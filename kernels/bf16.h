// bfloat16 as a two-byte number: the upper half of a float, rounded to nearest even.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/host_device.h"

namespace clx {

struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  CLX_HOST_DEVICE explicit bf16(float value) {
    std::uint32_t u = 0;
    memcpy(&u, &value, sizeof u);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? std::uint16_t(0x7fff) : std::uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  CLX_HOST_DEVICE explicit operator float() const {
    const std::uint32_t u = std::uint32_t(bits) << 16;
    float value = 0;
    memcpy(&value, &u, sizeof value);
    return value;
  }
};
static_assert(sizeof(bf16) == 2);

}  // namespace clx
