// The checksum of zip, PNG and packed data sets.
#pragma once

#include <cstdint>
#include <span>

namespace clx::io {

/// CRC-32 (polynomial 0xedb88320, as in zip) of `bytes`, continuing from that of what came before them.
std::uint32_t crc32(std::span<const std::uint8_t> bytes, std::uint32_t before = 0);

}  // namespace clx::io
