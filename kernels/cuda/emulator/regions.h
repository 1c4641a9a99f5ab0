// The allocations of the emulated device. Around each lies a guard that no access may touch; what lies
// outside all of them is memory of the host, which tests give to kernels too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace clx::emulator {

constexpr std::size_t kAllocationGuard =
    64 * 1024;  // wider than a row of a tile, so that an overrun meets it

struct Region {
  std::uintptr_t begin = 0, end = 0;
  bool allocated = false;  // or a part of the host's memory
  std::size_t bytes() const { return end - begin; }
  bool contains(const void* p, std::size_t n) const {
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    return address >= begin && address + n <= end;
  }
};

void add_region(const void* p, std::size_t bytes);
/// The size of the allocation.
std::size_t remove_region(const void* p);

/// The allocation that holds `p` or whose guard does; or else the host's memory between the guards around it.
Region region_of(const void* p);

}  // namespace clx::emulator
