// Files as a whole: reading with a limit, and writing that leaves either the complete file or none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace clx::io {

/// The most that `read_file` accepts unless told otherwise.
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{4} << 30;

/// A file that is written to a temporary name beside it and renamed when it is complete.
///
/// Throws  Error `writing <path>: …` with the system's reason (disk full, not writable, no such folder)
/// Notes   Until commit() the final name keeps its old contents, or stays absent. Destruction without
///         commit(), as when an exception passes, removes the temporary. commit() syncs the contents
///         before the rename and the folder after it, so a crash leaves the old or the new file.
///         A symbolic link at the final name is replaced, not followed. Writes are buffered.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Makes the file appear under its final name. Nothing can be written afterwards.
  void commit();
  const std::filesystem::path& path() const { return path_; }

 private:
  void flush();
  void write_through(const char* data, std::size_t bytes);
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::vector<char> buffer_;
  int fd_ = -1;
};

/// A file open for reading at any offset.
///
/// Throws  DataError `reading <path>: …` if it cannot be opened, is a folder, or ends before what is asked
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Bytes in the file when it was opened.
  std::uint64_t size() const { return size_; }
  /// Reads exactly `bytes` bytes from `offset` on.
  void read_at(std::uint64_t offset, void* data, std::size_t bytes) const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// The contents of a file.
///
/// Throws  DataError `reading <path>: …` if it is missing, a folder, or larger than `max_bytes`
std::vector<std::uint8_t> read_file(const std::filesystem::path& path,
                                    std::uint64_t max_bytes = kMaxFileBytes);

/// Writes a whole file by way of AtomicFile. Throws Error as AtomicFile does.
void write_file(const std::filesystem::path& path, const void* data, std::size_t bytes);

}  // namespace clx::io
