// The runtime behind -fsanitize=thread in race builds: the compiler lets every load and store of a kernel
// call it. Linked instead of the compiler's own library, which knows nothing of emulated threads.
#if defined(CLX_RACE)

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/emulator/race.h"

#define CLX_PC __builtin_return_address(0)

#define CLX_ACCESSES(bytes)                     \
  void __tsan_read##bytes(void* p) {            \
    access(p, bytes, false, false, CLX_PC);     \
  }                                             \
  void __tsan_write##bytes(void* p) {           \
    access(p, bytes, true, false, CLX_PC);      \
  }                                             \
  void __tsan_unaligned_read##bytes(void* p) {  \
    access(p, bytes, false, false, CLX_PC);     \
  }                                             \
  void __tsan_unaligned_write##bytes(void* p) { \
    access(p, bytes, true, false, CLX_PC);      \
  }                                             \
  void __tsan_volatile_read##bytes(void* p) {   \
    access(p, bytes, false, true, CLX_PC);      \
  }                                             \
  void __tsan_volatile_write##bytes(void* p) {  \
    access(p, bytes, true, true, CLX_PC);       \
  }

// Atomics of the host code in instrumented files, and of the emulated ones, which have told the detector.
#define CLX_ATOMICS(bits, T)                                                                \
  T __tsan_atomic##bits##_load(const volatile T* p, int) {                                  \
    return __atomic_load_n(p, 5);                                                           \
  }                                                                                         \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) {                               \
    __atomic_store_n(p, v, 5);                                                              \
  }                                                                                         \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) {                               \
    return __atomic_exchange_n(p, v, 5);                                                    \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T v, int) {                              \
    return __atomic_fetch_add(p, v, 5);                                                     \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T v, int) {                              \
    return __atomic_fetch_sub(p, v, 5);                                                     \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_and(volatile T* p, T v, int) {                              \
    return __atomic_fetch_and(p, v, 5);                                                     \
  }                                                                                         \
  T __tsan_atomic##bits##_fetch_or(volatile T* p, T v, int) {                               \
    return __atomic_fetch_or(p, v, 5);                                                      \
  }                                                                                         \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* old, T v, int, int) { \
    return __atomic_compare_exchange_n(p, old, v, false, 5, 5);                             \
  }                                                                                         \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* old, T v, int, int) {   \
    return __atomic_compare_exchange_n(p, old, v, true, 5, 5);                              \
  }

using clx::emulator::race::access;

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* p, std::size_t n) {
  access(p, n, false, false, CLX_PC);
}
void __tsan_write_range(void* p, std::size_t n) {
  access(p, n, true, false, CLX_PC);
}
void __tsan_atomic_thread_fence(int) {
  __atomic_thread_fence(5);
}
CLX_ACCESSES(1)
CLX_ACCESSES(2)
CLX_ACCESSES(4)
CLX_ACCESSES(8)
CLX_ACCESSES(16)
CLX_ATOMICS(8, std::uint8_t)
CLX_ATOMICS(16, std::uint16_t)
CLX_ATOMICS(32, std::uint32_t)
CLX_ATOMICS(64, std::uint64_t)
}

#endif
