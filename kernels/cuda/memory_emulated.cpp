// Memory of the emulated device: host memory between red zones, filled with NaN, known to the race detector.
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/cuda/emulator/race.h"
#include "kernels/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace clx::kernels {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kGuard = 64 * 1024;  // wider than a row of a tile, so that an overrun meets it
#else
constexpr std::size_t kGuard = 0;
#endif
constexpr std::size_t kAlignment = 256;

}  // namespace

void* allocate(const Emulated&, std::size_t bytes) {
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  auto* const memory =
      static_cast<unsigned char*>(std::aligned_alloc(kAlignment, kGuard + rounded + kAlignment + kGuard));
  if (!memory) throw std::bad_alloc();
  unsigned char* const p = memory + kGuard;
  std::memset(p, 0xFF, bytes);
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(memory, kGuard);
  ASAN_POISON_MEMORY_REGION(p + bytes, rounded - bytes + kAlignment + kGuard);
#endif
  emulator::race::add_region(p, bytes);
  return p;
}

void release(const Emulated&, void* p) noexcept {
  if (!p) return;
  emulator::race::remove_region(p);
  std::free(static_cast<unsigned char*>(p) - kGuard);
}

void copy(const Emulated&, std::size_t bytes, const void* from, void* to) {
  if (bytes) std::memcpy(to, from, bytes);
  emulator::race::mark_initialised(to, bytes);
}

void copy_from_host(const Emulated&, std::size_t bytes, const void* from, void* to) {
  if (bytes) std::memcpy(to, from, bytes);
  emulator::race::mark_initialised(to, bytes);
}

void copy_to_host(const Emulated&, std::size_t bytes, const void* from, void* to) {
  if (bytes) std::memcpy(to, from, bytes);
}

void zero(const Emulated&, std::size_t bytes, void* to) {
  if (bytes) std::memset(to, 0, bytes);
  emulator::race::mark_initialised(to, bytes);
}

}  // namespace clx::kernels
