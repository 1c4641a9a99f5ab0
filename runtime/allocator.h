// Memory of tensors: freed blocks are kept and reused, so that a warmed-up training step allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

#include "runtime/device.h"

namespace clx {

/// What an allocator did since the process began.
struct MemoryStats {
  std::size_t in_use = 0;          // bytes of live tensors, rounded as allocated
  std::size_t peak = 0;            // the most that in_use was since the start or the last reset_memory_peak
  std::size_t reserved = 0;        // in_use plus what is kept for reuse
  std::uint64_t system_calls = 0;  // allocations that had to ask the system; constant after warm-up
};

/// No device memory is left: what() says how much was asked for and how much tensors hold.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// Uninitialised memory aligned to 256 bytes, reused in the order of the device's stream.
/// Throws OutOfMemory after returning all kept blocks and trying again.
void* allocate_memory(Device device, std::size_t bytes);
void release_memory(Device device, void* p) noexcept;

MemoryStats memory_stats(Device device);
/// Makes `peak` what is in use now.
void reset_memory_peak(Device device);
/// Returns kept blocks to the system, but for those of graphs, which write there.
void release_cached_memory(Device device);

/// Bytes of a GPU that can still be had, kept blocks among them; of host memory no limit is known: the most
/// that a std::size_t holds.
std::size_t free_memory(Device device);

/// A pool of the device's memory: what a thread allocates while it captures for the pool (runtime/capture.h),
/// or while the pool's lane is the thread's (runtime/lane.h), belongs to it and returns to it, for nobody
/// else, until the pool ends. Then it is that of the lane in which the pool was made; otherwise anybody's.
enum class PoolOf { lane, graph };
std::uint64_t make_memory_pool(Device device, PoolOf kind);
void end_memory_pool(Device device, std::uint64_t pool) noexcept;

/// For tests: surrounds every later block with guard bands, filled and checked when it is released;
/// a write outside a tensor ends the program with a message that names the block's size. Fresh memory
/// is filled with NaN. Not while the thread captures.
void set_memory_guards(bool on);

}  // namespace clx
