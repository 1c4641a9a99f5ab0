#include "runtime/io/checksum.h"

#include <zlib.h>

namespace clx::io {

std::uint32_t crc32(std::span<const std::uint8_t> bytes, std::uint32_t before) {
  if (bytes.empty()) return before;  // of a null pointer zlib gives the start value
  return static_cast<std::uint32_t>(crc32_z(before, bytes.data(), bytes.size()));
}

}  // namespace clx::io
