// The permutation of 16-byte chunks in shared memory that TMA and wgmma agree on: bits of the row are
// XORed onto the number of the chunk. Modes are those of wgmma's descriptor.
#pragma once

#include <cstdint>

namespace clx::emulator {

enum : std::uint32_t { kSwizzleNone = 0, kSwizzle128 = 1, kSwizzle64 = 2, kSwizzle32 = 3 };

/// Bytes of a swizzled row; 0 without swizzle.
constexpr std::uint32_t swizzle_bytes(std::uint32_t mode) {
  return mode == kSwizzle128 ? 128 : mode == kSwizzle64 ? 64 : mode == kSwizzle32 ? 32 : 0;
}

constexpr std::uint32_t swizzled(std::uint32_t address, std::uint32_t mode) {
  if (mode == kSwizzleNone) return address;
  const std::uint32_t chunks = swizzle_bytes(mode) / 16;
  return address ^ ((address >> 7 & (chunks - 1)) << 4);
}

}  // namespace clx::emulator
