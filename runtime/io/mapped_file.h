// A file read by way of the address space: only what is looked at is loaded, and the system may drop it
// again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace clx::io {

/// Read-only. The mapping lives as long as this.
///
/// Throws  DataError `reading <path>: …` if the file cannot be opened or mapped, or is a folder
/// Notes   Whoever shortens the file meanwhile ends this process at its next look (SIGBUS); a file replaced
/// by
///         rename, as AtomicFile does, stays whole here.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace clx::io
