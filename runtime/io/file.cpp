#include "runtime/io/file.h"

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "runtime/check.h"

namespace clx::io {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 16;

std::string reason(int error) {
  return std::generic_category().message(error);
}

// Unique among the live processes of a machine and the threads of one.
std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter{0};
  std::filesystem::path name = path.parent_path();
  name /= "." + path.filename().string() + "." + std::to_string(::getpid()) + "-" +
          std::to_string(counter.fetch_add(1)) + ".tmp";
  return name;
}

// Some file systems have nothing to sync and say so.
bool sync_failed(int fd) {
  return ::fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  CLX_CHECK(path_.has_filename(), "writing ", path_.string(), ": expected a file name, got a folder");
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) fail(EISDIR);
  temporary_ = temporary_beside(path_);
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(errno);
  buffer_.reserve(kBufferBytes);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(int error) const {
  throw Error(concat("writing ", path_.string(), ": ", reason(error)));
}

void AtomicFile::write_through(const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, data, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno);
    data += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void AtomicFile::flush() {
  write_through(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  CLX_CHECK(fd_ >= 0, "writing ", path_.string(), ": the file is already complete");
  const char* from = static_cast<const char*>(data);
  if (buffer_.size() + bytes > kBufferBytes) flush();
  if (bytes >= kBufferBytes)
    write_through(from, bytes);
  else
    buffer_.insert(buffer_.end(), from, from + bytes);
}

void AtomicFile::commit() {
  CLX_CHECK(fd_ >= 0, "writing ", path_.string(), ": the file is already complete");
  flush();
  if (sync_failed(fd_)) fail(errno);
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0) fail(errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  temporary_.clear();
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const int dir = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return;  // a folder may be writable without being readable
  const bool failed = sync_failed(dir);
  const int error = errno;
  ::close(dir);
  if (failed) fail(error);
}

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  CLX_CHECK_DATA(fd_ >= 0, "reading ", path_.string(), ": ", reason(errno));
  struct stat status {};
  const int error = ::fstat(fd_, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  if (error != 0) {
    ::close(fd_);
    throw DataError(concat("reading ", path_.string(), ": ", reason(error)));
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  ::close(fd_);
}

void InputFile::read_at(std::uint64_t offset, void* data, std::size_t bytes) const {
  char* to = static_cast<char*>(data);
  std::size_t left = bytes;
  while (left > 0) {
    const ssize_t n = ::pread(fd_, to, left, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    CLX_CHECK_DATA(n >= 0, "reading ", path_.string(), ": ", reason(errno));
    CLX_CHECK_DATA(n > 0, "reading ", path_.string(), ": expected ", bytes, " bytes at offset ",
                   offset - (bytes - left), ", got ", bytes - left);
    to += n;
    offset += static_cast<std::uint64_t>(n);
    left -= static_cast<std::size_t>(n);
  }
}

std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const InputFile file(path);
  CLX_CHECK_DATA(file.size() <= max_bytes, "reading ", path.string(), ": expected at most ", max_bytes,
                 " bytes, got ", file.size());
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(file.size()));
  file.read_at(0, bytes.data(), bytes.size());
  return bytes;
}

void write_file(const std::filesystem::path& path, const void* data, std::size_t bytes) {
  AtomicFile file(path);
  file.write(data, bytes);
  file.commit();
}

}  // namespace clx::io
