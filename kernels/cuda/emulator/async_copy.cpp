// cp.async: executed late, early or in between, so that a missing wait and a buffer reused too soon show.
#include <cstring>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/instructions.h"
#include "kernels/cuda/emulator/race.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace clx::emulator {
namespace {

void perform(AsyncCopy& c) {
  if (c.done) return;
  c.done = true;
  const int thread = current->linear;
  if (c.source_bytes) race::deferred_access(c.from, c.source_bytes, false, false, thread, c.issued, c.pc);
  race::deferred_access(c.to, c.bytes, true, false, thread, c.issued, c.pc);
  std::memcpy(c.to, c.from, c.source_bytes);
  std::memset(static_cast<char*>(c.to) + c.source_bytes, 0, c.bytes - c.source_bytes);
}

// The copy itself may run much later, on another stack: a bad source is reported at the issue.
void require_readable(const void* from, std::uint32_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  for (std::uint32_t i = 0; i < bytes; ++i)
    static_cast<void>(*(static_cast<const volatile char*>(from) + i));
#else
  static_cast<void>(from);
  static_cast<void>(bytes);
#endif
}

}  // namespace

void cp_async(void* to, const void* from, std::uint32_t bytes, std::uint32_t source_bytes, Site site) {
  if (reinterpret_cast<std::uintptr_t>(to) % bytes || reinterpret_cast<std::uintptr_t>(from) % bytes)
    fail("cp.async at %s:%u: %u bytes from %p to %p, misaligned", site.file, site.line, bytes, from, to);
  require_shared(to, bytes, "cp.async", site);
  require_readable(from, source_bytes);
  AsyncCopy copy{
      to, from, bytes, source_bytes, false, site, __builtin_return_address(0), race::issue_clock()};
  if (async_now()) perform(copy);
  self()->copies.push_back(std::move(copy));
}

void cp_async_commit() {
  self()->copy_groups.push_back(self()->copies.size());
}

void cp_async_wait(int pending) {
  auto& copies = self()->copies;
  auto& groups = self()->copy_groups;
  if (static_cast<int>(groups.size()) <= pending) return;
  const std::size_t finished = groups.size() - static_cast<std::size_t>(pending);
  const std::size_t end = groups[finished - 1];
  for (std::size_t i = 0; i < end; ++i)
    perform(copies[i]);
  copies.erase(copies.begin(), copies.begin() + static_cast<std::ptrdiff_t>(end));
  groups.erase(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(finished));
  for (auto& group : groups)
    group -= end;
}

}  // namespace clx::emulator
