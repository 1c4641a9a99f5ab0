#include "kernels/memory.h"

#include <cstring>
#include <new>
#include <shared_mutex>

#include "kernels/cpu/instruction_room.h"
#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

constexpr std::align_val_t kAlignment{256};
constexpr std::int64_t kGrain = 1 << 20;  // bytes that are worth another thread

void copy_bytes(std::size_t bytes, const void* from, void* to) {
  parallel_ranges(static_cast<std::int64_t>(bytes), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                static_cast<std::size_t>(end - begin));
  });
}

}  // namespace

void* allocate(const Cpu&, std::size_t bytes) {
  const std::shared_lock lock(memory_for_tensors());
  return ::operator new(bytes, kAlignment);
}

void release(const Cpu&, void* p) noexcept {
  ::operator delete(p, kAlignment);
}

void copy(const Cpu&, std::size_t bytes, const void* from, void* to) {
  copy_bytes(bytes, from, to);
}

void copy_from_host(const Cpu&, std::size_t bytes, const void* from, void* to) {
  copy_bytes(bytes, from, to);
}

void copy_to_host(const Cpu&, std::size_t bytes, const void* from, void* to) {
  copy_bytes(bytes, from, to);
}

void zero(const Cpu&, std::size_t bytes, void* to) {
  parallel_ranges(static_cast<std::int64_t>(bytes), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::memset(static_cast<char*>(to) + begin, 0, static_cast<std::size_t>(end - begin));
  });
}

}  // namespace clx::kernels
