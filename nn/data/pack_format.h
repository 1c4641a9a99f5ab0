// The bytes of a packed data set. Internal to nn/data.
//
//   head    64 bytes: "CLXPACK\n", version u32, zeros
//   images  of each image its pixels (H,W,3), then its mask (H,W) of zeros and ones if it has one
//   index   PackEntry of each image
//   names   JSON: name, class_names, mean, std, files
//   tail    PackTail, the last 64 bytes
//
// All integers are little-endian.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

namespace clx::data {

inline constexpr std::string_view kPackMagic = "CLXPACK\n";
inline constexpr std::string_view kPackEnd = "CLXPACK.";
inline constexpr std::uint32_t kPackVersion = 1;
inline constexpr std::uint64_t kPackHeadBytes = 64;

struct PackEntry {
  static constexpr std::uint32_t kTest = 1, kMask = 2;
  std::uint64_t offset = 0;  // of the pixels in the file
  std::uint32_t height = 0, width = 0;
  std::int32_t label = 0;
  std::uint32_t flags = 0;
  std::uint32_t crc = 0;  // of pixels and mask
  std::uint32_t unused = 0;

  std::uint64_t pixel_bytes() const { return std::uint64_t{3} * height * width; }
  std::uint64_t bytes() const {
    return pixel_bytes() + (flags & kMask ? std::uint64_t{1} * height * width : 0);
  }
};
static_assert(sizeof(PackEntry) == 32 && std::is_trivially_copyable_v<PackEntry>);

struct PackTail {
  std::uint64_t index = 0, count = 0;       // where the index begins, its entries
  std::uint64_t names = 0, name_bytes = 0;  // where the names begin and how long they are
  std::uint64_t file_bytes = 0;             // of the whole file
  std::uint32_t version = kPackVersion;
  std::uint32_t directory_crc = 0;  // of index and names
  std::uint32_t unused = 0;
  std::uint32_t tail_crc = 0;  // of the tail up to here
  char magic[8] = {};
};
static_assert(sizeof(PackTail) == 64 && std::is_trivially_copyable_v<PackTail>);

}  // namespace clx::data
