#include "kernels/cuda/emulator/regions.h"

#include <limits>
#include <map>
#include <mutex>

namespace clx::emulator {
namespace {

// Never destroyed: tensors of static storage may be released after everything else.
std::mutex& mutex = *new std::mutex;
auto& ends = *new std::map<std::uintptr_t, std::uintptr_t>;  // begin → end

}  // namespace

void add_region(const void* p, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(p);
  const std::lock_guard lock(mutex);
  ends[begin] = begin + bytes;
}

std::size_t remove_region(const void* p) {
  const std::lock_guard lock(mutex);
  const auto found = ends.find(reinterpret_cast<std::uintptr_t>(p));
  if (found == ends.end()) return 0;
  const std::size_t bytes = found->second - found->first;
  ends.erase(found);
  return bytes;
}

Region region_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const std::lock_guard lock(mutex);
  Region host{0, std::numeric_limits<std::uintptr_t>::max(), false};
  const auto after = ends.upper_bound(address);
  if (after != ends.begin()) {
    const auto [begin, end] = *std::prev(after);
    if (address < end + kAllocationGuard) return {begin, end, true};
    host.begin = end + kAllocationGuard;
  }
  if (after != ends.end()) {
    const auto [begin, end] = *after;
    if (address + kAllocationGuard >= begin) return {begin, end, true};
    host.end = begin - kAllocationGuard;
  }
  return host;
}

}  // namespace clx::emulator
