// Memory of the emulated device: host memory between guards, filled with NaN, known to the bounds checks of
// compiled kernels and to the race detector.
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/mman.h>

#include "kernels/cuda/emulator/notes.h"
#include "kernels/cuda/emulator/race.h"
#include "kernels/cuda/emulator/regions.h"
#include "kernels/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace clx::kernels {
namespace {

constexpr std::size_t kGuard = emulator::kAllocationGuard, kAlignment = 256, kPage = 4096;

std::size_t round_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

#if defined(__SANITIZE_ADDRESS__)
unsigned char* take(std::size_t bytes) {
  const std::size_t rounded = round_up(bytes, kAlignment) + kAlignment;
  auto* const memory = static_cast<unsigned char*>(std::aligned_alloc(kAlignment, kGuard + rounded + kGuard));
  if (!memory) throw std::bad_alloc();
  ASAN_POISON_MEMORY_REGION(memory, kGuard);
  ASAN_POISON_MEMORY_REGION(memory + kGuard + bytes, rounded - bytes + kGuard);
  return memory + kGuard;
}

void give_back(unsigned char* p, std::size_t) {
  std::free(p - kGuard);
}
#else
// The guards are addresses without memory: whoever touches them faults.
unsigned char* take(std::size_t bytes) {
  const std::size_t rounded = round_up(bytes + 1, kPage);
  void* const memory =
      mmap(nullptr, kGuard + rounded + kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* const p = static_cast<unsigned char*>(memory) + kGuard;
  if (mprotect(p, rounded, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  return p;
}

void give_back(unsigned char* p, std::size_t bytes) {
  munmap(p - kGuard, kGuard + round_up(bytes + 1, kPage) + kGuard);
}
#endif

void require_no_recording(const char* what) {
  if (emulator::recording()) throw std::logic_error(std::string(what) + ": the host waits for no recording");
}

}  // namespace

void* allocate(const Emulated&, std::size_t bytes) {
  unsigned char* const p = take(bytes);
  std::memset(p, 0xFF, bytes);
  emulator::add_region(p, bytes);
  emulator::race::add_region(p, bytes);
  return p;
}

void release(const Emulated&, void* p) noexcept {
  if (!p) return;
  emulator::race::remove_region(p);
  give_back(static_cast<unsigned char*>(p), emulator::remove_region(p));
}

void copy(const Emulated& backend, std::size_t bytes, const void* from, void* to) {
  if (emulator::recording()) return emulator::note([=] { copy(backend, bytes, from, to); });
  if (bytes) std::memcpy(to, from, bytes);
  emulator::race::mark_initialised(to, bytes);
}

void copy_from_host(const Emulated&, std::size_t bytes, const void* from, void* to) {
  require_no_recording("copy_from_host");
  if (bytes) std::memcpy(to, from, bytes);
  emulator::race::mark_initialised(to, bytes);
}

void copy_to_host(const Emulated&, std::size_t bytes, const void* from, void* to) {
  require_no_recording("copy_to_host");
  if (bytes) std::memcpy(to, from, bytes);
}

void zero(const Emulated& backend, std::size_t bytes, void* to) {
  if (emulator::recording()) return emulator::note([=] { zero(backend, bytes, to); });
  if (bytes) std::memset(to, 0, bytes);
  emulator::race::mark_initialised(to, bytes);
}

}  // namespace clx::kernels
