#include "kernels/cpu/instruction_room.h"

#include <cstddef>
#include <new>
#include <sys/mman.h>

namespace clx::kernels {

std::shared_mutex& memory_for_tensors() {
  static std::shared_mutex mutex;
  return mutex;
}

InstructionRoom::InstructionRoom() : lock_(memory_for_tensors()) {
  constexpr std::size_t kBytes = 8 << 20;  // a few kernels of 256 KiB each, and what describes them
  void* const room = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  munmap(room, kBytes);
}

}  // namespace clx::kernels
