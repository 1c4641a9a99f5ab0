#include "kernels/workspace.h"

#include <algorithm>

#include "kernels/backend.h"

namespace clx {

namespace {
constexpr std::size_t kAlignment = 256;
constexpr std::size_t round_up(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}
}  // namespace

Workspace::Workspace(Allocate allocate, Release release)
    : allocate_(std::move(allocate)), release_(std::move(release)) {}

Workspace::~Workspace() {
  for (const Block& block : blocks_)
    release_(block.data);
}

void* Workspace::take(std::size_t bytes) {
  bytes = round_up(std::max<std::size_t>(bytes, 1));
  if (blocks_.empty() || used_ + bytes > blocks_.back().bytes) {
    const std::size_t size = std::max(bytes, 2 * capacity_);
    blocks_.push_back({allocate_(size), size});
    capacity_ += size;
    used_ = 0;
  }
  void* p = static_cast<char*>(blocks_.back().data) + used_;
  used_ += bytes;
  return p;
}

void Workspace::reset() {
  if (blocks_.size() > 1) {  // the last op outgrew the arena: one block for all of it
    for (const Block& block : blocks_)
      release_(block.data);
    blocks_.clear();
    blocks_.push_back({allocate_(capacity_), capacity_});
  }
  used_ = 0;
}

void* Cpu::workspace(std::size_t bytes) const {
  return scratch->take(bytes);
}
void* Cuda::workspace(std::size_t bytes) const {
  return scratch->take(bytes);
}
void* Emulated::workspace(std::size_t bytes) const {
  return scratch->take(bytes);
}

}  // namespace clx
