// The shared memory of a block: an arena in which each array is followed by a red zone.
#include <cstdio>
#include <cstring>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/race.h"
#include "kernels/cuda/launch.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)
#define ASAN_UNPOISON_MEMORY_REGION(p, n)
#endif

namespace clx::emulator {
namespace {

constexpr unsigned char kUninitialised = 0xFF;  // NaN in f32 and bf16, −1 as an integer
constexpr unsigned char kRedZoneByte = 0xA5;

unsigned char* take(Worker& w, const void* key, std::size_t bytes, std::size_t alignment) {
  const std::size_t begin = (w.shared_used + alignment - 1) / alignment * alignment;
  w.shared_payload += bytes;
  if (w.shared_payload > kSharedLimit)
    fail("the block uses %zu bytes of shared memory, more than %zu", w.shared_payload, kSharedLimit);
  // A GPU lays the dynamic memory out after the static arrays.
  const std::size_t arrays = w.shared_payload - w.dynamic_bytes;
  const std::size_t used = (w.dynamic_bytes ? (arrays + 1023) / 1024 * 1024 : arrays) + w.dynamic_bytes;
  if (w.dynamic_bytes <= kernels::kSharedWithoutLeave && used > kSharedUnasked)
    fail("the block uses %zu bytes of shared memory, more than %zu, and the launch does not ask for them",
         used, kSharedUnasked);
  w.shared_used = begin + bytes + kRedZone;
  unsigned char* const data = w.arena + begin;
  ASAN_UNPOISON_MEMORY_REGION(data, bytes + kRedZone);
  std::memset(data, kUninitialised, bytes);
  std::memset(data + bytes, kRedZoneByte, kRedZone);
  ASAN_POISON_MEMORY_REGION(data + bytes, kRedZone);
  w.arrays.push_back({key, data, bytes});
  return data;
}

}  // namespace

void reset_shared(Worker& w, std::size_t dynamic_bytes) {
  ASAN_POISON_MEMORY_REGION(w.arena, kArenaBytes);
  w.shared_used = w.shared_payload = 0;
  w.arrays.clear();
  w.dynamic_bytes = dynamic_bytes;
  if (dynamic_bytes) take(w, nullptr, dynamic_bytes, 1024);
  w.shared_used = (w.shared_used + 1023) / 1024 * 1024;
}

void check_red_zones(Worker& w) {
  for (const auto& array : w.arrays) {
    ASAN_UNPOISON_MEMORY_REGION(array.data + array.bytes, kRedZone);
    for (std::size_t i = 0; i < kRedZone; ++i)
      if (array.data[array.bytes + i] != kRedZoneByte) {
        const uint3 b = w.block_index;
        char text[160];
        std::snprintf(text, sizeof text,
                      "block (%u,%u,%u): wrote %zu byte(s) past the end of a shared array of %zu bytes", b.x,
                      b.y, b.z, i + 1, array.bytes);
        throw KernelError(text);
      }
  }
}

unsigned char* dynamic_shared() {
  return worker->arena;
}

void* static_shared(const void* key, std::size_t bytes, std::size_t alignment) {
  for (const auto& array : worker->arrays)
    if (array.key == key) return array.data;
  return take(*worker, key, bytes, alignment);
}

bool in_shared(const void* p) {
  const auto* byte = static_cast<const unsigned char*>(p);
  return byte >= worker->arena && byte < worker->arena + kArenaBytes;
}

std::uint32_t shared_address(const void* p) {
  if (!in_shared(p)) fail("pointer %p is not in shared memory", p);
  return kSharedWindow + static_cast<std::uint32_t>(static_cast<const unsigned char*>(p) - worker->arena);
}

unsigned char* shared_pointer(std::uint32_t address) {
  if (address < kSharedWindow || address >= kSharedWindow + kArenaBytes)
    fail("shared address %#x is outside the block's memory", address);
  return worker->arena + (address - kSharedWindow);
}

bool inside_shared_array(const void* p, std::size_t bytes) {
  const auto* byte = static_cast<const unsigned char*>(p);
  for (const auto& array : worker->arrays)
    if (byte >= array.data && byte + bytes <= array.data + array.bytes) return true;
  return false;
}

void require_shared(const void* p, std::size_t bytes, const char* what, Site site) {
  if (!inside_shared_array(p, bytes))
    fail("%s at %s:%u: %zu bytes at %p are not in an array of the block", what, site.file, site.line, bytes,
         p);
}

void before_atomic(const void* p, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes) fail("atomic at %p: misaligned", p);
  race::access(p, bytes, true, true, __builtin_return_address(0));
  if (in_kernel() && worker->config.order == Order::random && (random_word(*worker) & 7) == 0) yield();
}

}  // namespace clx::emulator
