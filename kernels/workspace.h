// Scratch memory of kernels: an arena per device and stream.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace clx {

/// A stack of scratch buffers that a kernel launcher takes from and that the next op reuses from the
/// start: work on one stream is ordered, so nothing is shared at the same time. It grows while an op
/// asks for more than it ever saw (warm-up) and keeps its address afterwards. A captured graph has its own.
class Workspace {
 public:
  using Allocate = std::function<void*(std::size_t)>;
  using Release = std::function<void(void*)>;

  Workspace(Allocate allocate, Release release);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// `bytes` of uninitialised memory, aligned to 256, valid until the next `reset`. May be called
  /// several times by one op.
  void* take(std::size_t bytes);

  /// Starts the next op: all scratch handed out so far may be reused.
  void reset();

  std::size_t capacity() const { return capacity_; }

 private:
  struct Block {
    void* data = nullptr;
    std::size_t bytes = 0;
  };
  Allocate allocate_;
  Release release_;
  std::vector<Block> blocks_;  // one after warm-up; more while an op outgrows the first
  std::size_t used_ = 0;       // of the last block
  std::size_t capacity_ = 0;
};

}  // namespace clx
