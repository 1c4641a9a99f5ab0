// numpy's .npz files: named arrays in a zip archive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/io/file.h"
#include "runtime/tensor.h"

namespace clx::io {

/// Reads all arrays of a .npz file, by their names without `.npy`.
///
/// Range   as read_npy; members stored or deflated
/// Throws  DataError `reading <path>: …` if the archive or a member is truncated, fails its CRC, is named
///         twice, overlaps another, is encrypted, compressed by another method, or not an array;
///         if the archive is zip64 (over 4 GiB) or unpacks to more than `max_bytes`
/// Source  PKWARE APPNOTE.TXT 6.3
std::map<std::string, Tensor> read_npz(const std::filesystem::path& path,
                                       std::uint64_t max_bytes = kMaxFileBytes);

struct NpzOptions {
  bool compress = true;  // deflate; false stores, which numpy can map into memory
};

/// Writes arrays one after another; what numpy.load reads.
///
/// Throws  Error if it cannot be written, at a repeated or empty name, and beyond 4 GiB (no zip64)
/// Notes   The file appears at commit() (AtomicFile). The same arrays give the same bytes: members carry
///         no date. Each add() waits for its tensor's device.
class NpzWriter {
 public:
  explicit NpzWriter(const std::filesystem::path& path, NpzOptions options = {});
  void add(const std::string& name, const Tensor& x);
  void commit();

 private:
  struct Member {
    std::string name;
    std::uint16_t method = 0;
    std::uint32_t crc = 0;
    std::uint32_t packed = 0;
    std::uint32_t unpacked = 0;
    std::uint32_t offset = 0;
  };
  void append(const std::string& bytes);

  AtomicFile file_;
  NpzOptions options_;
  std::vector<Member> members_;
  std::uint64_t size_ = 0;
};

/// Writes all arrays, in order of name. Throws as NpzWriter does.
void write_npz(const std::filesystem::path& path,
               const std::map<std::string, Tensor>& arrays,
               NpzOptions options = {});

}  // namespace clx::io
