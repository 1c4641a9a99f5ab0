#include "runtime/allocator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <sstream>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "kernels/memory.h"
#include "runtime/capture.h"
#include "runtime/check.h"
#include "runtime/dispatch.h"
#include "runtime/lane.h"

namespace clx {
namespace {

constexpr std::size_t kGuardBytes = 256;
constexpr int kGuardByte = 0xA5;
constexpr int kFreshByte = 0xFF;  // NaN in f32 and bf16

// Sizes are rounded so that tensors of nearly the same size share blocks: to 512 bytes, above 1 MiB to
// an eighth of the power of two below.
std::size_t size_class(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  std::size_t step = 512;
  while (bytes > step * 2048)
    step *= 2;
  return (bytes + step - 1) / step * step;
}

std::string readable(std::size_t bytes) {
  const int power = bytes < std::size_t{1} << 20 ? 10 : bytes < std::size_t{1} << 30 ? 20 : 30;
  const char* const unit = power == 10 ? " KiB" : power == 20 ? " MiB" : " GiB";
  std::ostringstream text;
  text << std::fixed << std::setprecision(2)
       << static_cast<double>(bytes) / static_cast<double>(std::size_t{1} << power) << unit;
  return text.str();
}

// The tag of a device without scratch memory: all that raw memory functions need, and safe to ask for
// while a workspace is growing.
template <class F>
decltype(auto) on_memory(Device device, F&& f) {
  switch (device.kind) {
    case DeviceKind::cuda:
      if constexpr (kHasCuda) return f(Cuda{device.index, cuda_stream(device.index)});
      throw_no_cuda();
    case DeviceKind::emulated:
      return f(Emulated{});
    default:
      return f(Cpu{});
  }
}

class CachingAllocator {
 public:
  explicit CachingAllocator(Device device) : device_(device) {}

  void* allocate(std::size_t bytes, bool guarded) {
    const Capture* capture = current_capture(device_);
    const std::uint64_t home = lane_pool(), pool = capture ? capture->pool : home;
    guarded = guarded && !capture;  // what fills the bands would be captured, too
    const std::size_t size = size_class(bytes + (guarded ? 2 * kGuardBytes : 0));
    char* base = static_cast<char*>(take(size, pool, home));
    Block block{size, bytes, guarded, pool};
    if (guarded) fill_guards(base, bytes);
    char* p = guarded ? base + kGuardBytes : base;
    const std::lock_guard lock(mutex_);
    live_[p] = block;
    stats_.in_use += size;
    stats_.peak = std::max(stats_.peak, stats_.in_use);
    return p;
  }

  void release(void* p) noexcept {
    Block block;
    {
      const std::lock_guard lock(mutex_);
      const auto found = live_.find(p);
      if (found == live_.end()) return;
      block = found->second;
      live_.erase(found);
      stats_.in_use -= block.size;
    }
    char* base = static_cast<char*>(p) - (block.guarded ? kGuardBytes : 0);
    if (block.guarded && !current_capture(device_)) check_guards(base, block.bytes);
    const std::lock_guard lock(mutex_);
    kept_[{block.pool, block.size}].push_back(base);
  }

  // Of graphs nothing: they write there. What a lane still has queued is waited for by the device's own free.
  void release_cached() {
    std::vector<void*> unused;
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(kept_, [&](const auto& entry) {
        const auto& [key, blocks] = entry;
        const auto pool = pools_.find(key.pool);
        if (pool != pools_.end() && pool->second.kind == PoolOf::graph) return false;
        unused.insert(unused.end(), blocks.begin(), blocks.end());
        stats_.reserved -= key.size * blocks.size();
        return true;
      });
    }
    for (void* base : unused)
      on_memory(device_, [&](const auto& backend) { kernels::release(backend, base); });
  }

  std::uint64_t make_pool(PoolOf kind) {
    const std::lock_guard lock(mutex_);
    pools_[++last_pool_] = {kind, lane_pool()};
    return last_pool_;
  }
  void end_pool(std::uint64_t pool) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t made_in = pools_.at(pool).home, heir = pools_.contains(made_in) ? made_in : 0;
    pools_.erase(pool);
    for (auto it = kept_.lower_bound({pool, 0}); it != kept_.end() && it->first.pool == pool;
         it = kept_.erase(it)) {
      std::vector<void*>& inherited = kept_[{heir, it->first.size}];
      inherited.insert(inherited.end(), it->second.begin(), it->second.end());
    }
    for (auto& [p, block] : live_)
      if (block.pool == pool) block.pool = heir;
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
  }

 private:
  struct Block {
    std::size_t size = 0, bytes = 0;
    bool guarded = false;
    std::uint64_t pool = 0;
  };
  // Pool 0 is that of all threads without a lane.
  struct Key {
    std::uint64_t pool;
    std::size_t size;
    auto operator<=>(const Key&) const = default;
  };
  struct Pool {
    PoolOf kind;
    std::uint64_t home;  // of the lane that it was made in
  };

  // Of this thread's lane; 0 without one.
  std::uint64_t lane_pool() const {
    const LanePart* lane = current_lane(device_);
    return lane ? lane->pool : 0;
  }

  void* take(std::size_t size, std::uint64_t pool, std::uint64_t home) {
    {
      const std::lock_guard lock(mutex_);
      for (const std::uint64_t from : {pool, home}) {
        const auto found = kept_.find({from, size});
        if (found == kept_.end() || found->second.empty()) continue;
        void* base = found->second.back();
        found->second.pop_back();
        return base;
      }
      ++stats_.system_calls;
      stats_.reserved += size;
    }
    const auto ask = [&] {
      return on_memory(device_, [&](const auto& backend) { return kernels::allocate(backend, size); });
    };
    try {
      return ask();
    } catch (...) {
      release_cached();
    }
    try {
      return ask();
    } catch (const std::bad_alloc&) {
      give_up(size);
      throw OutOfMemory(concat("memory of ", device_, ": expected ", readable(size), " more beside the ",
                               readable(stats().in_use), " of other tensors, got ",
                               device_.kind == DeviceKind::cuda ? readable(free_memory(device_)) : "none"));
    } catch (...) {
      give_up(size);
      throw;
    }
  }

  void give_up(std::size_t size) {
    const std::lock_guard lock(mutex_);
    stats_.reserved -= size;
  }

  void fill_guards(char* base, std::size_t bytes) {
    std::vector<char> pattern(bytes + 2 * kGuardBytes, static_cast<char>(kGuardByte));
    std::memset(pattern.data() + kGuardBytes, kFreshByte, bytes);
    on_memory(device_, [&](const auto& backend) {
      kernels::copy_from_host(backend, pattern.size(), pattern.data(), base);
    });
  }

  void check_guards(const char* base, std::size_t bytes) noexcept {
    char bands[2 * kGuardBytes];
    on_memory(device_, [&](const auto& backend) {
      kernels::copy_to_host(backend, kGuardBytes, base, bands);
      kernels::copy_to_host(backend, kGuardBytes, base + kGuardBytes + bytes, bands + kGuardBytes);
    });
    for (std::size_t i = 0; i < sizeof bands; ++i)
      if (bands[i] != static_cast<char>(kGuardByte)) {
        const bool before = i < kGuardBytes;
        std::fprintf(stderr, "memory guard: a block of %zu bytes was written %zu bytes %s\n", bytes,
                     before ? kGuardBytes - i : i - kGuardBytes + 1,
                     before ? "before its start" : "past its end");
        std::abort();
      }
  }

  Device device_;
  std::mutex mutex_;
  std::unordered_map<void*, Block> live_;
  std::map<Key, std::vector<void*>> kept_;
  std::map<std::uint64_t, Pool> pools_;  // those that have not ended
  std::uint64_t last_pool_ = 0;
  MemoryStats stats_;
};

// Never destroyed: tensors with static lifetime may outlive every other object.
CachingAllocator& allocator_of(Device device) {
  static auto& mutex = *new std::mutex;
  static auto& allocators = *new std::map<Device, CachingAllocator*>;
  const std::lock_guard lock(mutex);
  CachingAllocator*& allocator = allocators[device];
  if (!allocator) allocator = new CachingAllocator(device);
  return *allocator;
}

bool g_guards = false;

}  // namespace

void* allocate_memory(Device device, std::size_t bytes) {
  return allocator_of(device).allocate(bytes, g_guards);
}

void release_memory(Device device, void* p) noexcept {
  allocator_of(device).release(p);
}

MemoryStats memory_stats(Device device) {
  return allocator_of(device).stats();
}

void reset_memory_peak(Device device) {
  allocator_of(device).reset_peak();
}

void release_cached_memory(Device device) {
  allocator_of(device).release_cached();
}

std::size_t free_memory(Device device) {
  const MemoryStats stats = memory_stats(device);
  return on_memory(device, [&](const auto& backend) {
    if constexpr (std::is_same_v<std::decay_t<decltype(backend)>, Cuda>)
      return kernels::free_memory(backend) + (stats.reserved - stats.in_use);
    else
      return std::numeric_limits<std::size_t>::max();
  });
}

std::uint64_t make_memory_pool(Device device, PoolOf kind) {
  return allocator_of(device).make_pool(kind);
}

void end_memory_pool(Device device, std::uint64_t pool) noexcept {
  allocator_of(device).end_pool(pool);
}

void set_memory_guards(bool on) {
  g_guards = on;
}

}  // namespace clx
