// The race detector: happens-before between the threads of a block, uninitialised reads, missing proxy
// fences, accumulators of a wgmma in flight. Its calls do nothing unless the build has CLX_RACE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/emulator/block.h"

namespace clx::emulator::race {

#if defined(CLX_RACE)
inline constexpr bool kOn = true;

void begin_block(const Worker&);

/// All threads have seen what each of them did before: a barrier or __syncwarp.
void join(const std::vector<std::uint16_t>& threads);

/// The current thread hands its past to, or takes it from, whoever uses `clock` too: an mbarrier.
void release(std::vector<std::uint32_t>& clock);
void acquire(const std::vector<std::uint32_t>& clock);
void proxy_fence();

/// A load or store of the current thread; no effect outside kernels.
void access(const void* p, std::size_t bytes, bool write, bool atomic, const void* pc);

/// An access that thread `thread` issued at `issued` and that happens now: judged by the clock at issue.
Clock issue_clock();
void deferred_access(const void* p,
                     std::size_t bytes,
                     bool write,
                     bool async_proxy,
                     int thread,
                     const Clock& issued,
                     const void* pc);

/// The same of the copy engine, whose clock is the issuer's.
std::vector<std::uint32_t> engine_clock();
void engine_access(
    const void* p, std::size_t bytes, bool write, std::vector<std::uint32_t>& clock, const void* pc);

void add_region(const void* p, std::size_t bytes);
void remove_region(const void* p);
void mark_initialised(const void* p, std::size_t bytes);

/// What was found since the last call; empty if nothing.
std::string take_report();
#else
inline constexpr bool kOn = false;
inline void begin_block(const Worker&) {}
inline void join(const std::vector<std::uint16_t>&) {}
inline void release(std::vector<std::uint32_t>&) {}
inline void acquire(const std::vector<std::uint32_t>&) {}
inline void proxy_fence() {}
inline void access(const void*, std::size_t, bool, bool, const void*) {}
inline Clock issue_clock() {
  return nullptr;
}
inline void deferred_access(const void*, std::size_t, bool, bool, int, const Clock&, const void*) {}
inline std::vector<std::uint32_t> engine_clock() {
  return {};
}
inline void engine_access(const void*, std::size_t, bool, std::vector<std::uint32_t>&, const void*) {}
inline void add_region(const void*, std::size_t) {}
inline void remove_region(const void*) {}
inline void mark_initialised(const void*, std::size_t) {}
inline std::string take_report() {
  return {};
}
#endif

}  // namespace clx::emulator::race
