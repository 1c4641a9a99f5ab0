// Happens-before with vector clocks. Every thread of the block has one, and a second one of what has
// passed a proxy fence; a shadow cell per four bytes holds up to four recent accesses. Loads and stores
// come from tsan_runtime.cpp and from the emulated instructions.
#if defined(CLX_RACE)

#include "kernels/cuda/emulator/race.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "kernels/cuda/emulator/race_report.h"

namespace clx::emulator::race {
namespace {

enum Flags : std::uint8_t { kWrite = 1, kAtomic = 2, kAsync = 4 };

struct Access {
  const void* pc;
  std::uint32_t clock, block, launch;
  std::uint16_t thread;
  std::uint8_t bytes;  // which of the four
  std::uint8_t flags;
};

struct Cell {
  Access accesses[4];
};

struct Free {
  void operator()(void* p) const { std::free(p); }
};

/// The shadow of a piece of memory. Zeroed pages come from the system when they are first touched.
struct Shadow {
  std::size_t bytes = 0;
  std::unique_ptr<Cell[], Free> cells;
  std::unique_ptr<std::uint8_t[], Free> initialised;  // a bit per byte, four to a cell

  explicit Shadow(std::size_t n)
      : bytes(n),
        cells(static_cast<Cell*>(std::calloc(n / 4 + 2, sizeof(Cell)))),
        initialised(static_cast<std::uint8_t*>(std::calloc(n / 4 + 2, 1))) {
    if (!cells || !initialised) throw std::bad_alloc();
  }
};

/// What one access is judged by.
struct Accessor {
  int thread = 0;
  const std::uint32_t* clocks = nullptr;  // of all threads, then the same as of the last proxy fence
  std::uint32_t now = 0;
  std::uint8_t flags = 0;
  const void* pc = nullptr;
};

std::recursive_mutex regions_mutex;
std::map<std::uintptr_t, Shadow> regions;  // global memory
Shadow& shared_shadow() {
  static Shadow shadow(kArenaBytes);
  return shadow;
}
std::size_t shared_touched = 0;  // cells of shared memory to clear before the next block

int members = 0;  // threads of the block and the copy engine, the last one
std::vector<std::uint32_t> clocks;
std::size_t row_size() {
  return 2 * static_cast<std::size_t>(members);
}
std::uint32_t* row(int thread) {
  return &clocks[static_cast<std::size_t>(thread) * row_size()];
}
int engine() {
  return members - 1;
}

void merge(std::uint32_t* into, const std::uint32_t* from, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    into[i] = std::max(into[i], from[i]);
}

const char* verb(std::uint8_t flags) {
  if (flags & kAtomic) return "atomic";
  if (flags & kAsync) return flags & kWrite ? "async write" : "async read";
  return flags & kWrite ? "write" : "read";
}

std::string describe(bool shared, std::size_t offset, const Accessor& a, const Access* other) {
  std::string text = shared ? "shared memory" : "global memory";
  text += " offset " + std::to_string(offset) + ", " + verb(a.flags) + " by block " +
          std::to_string(worker->block_number) + " thread " + std::to_string(a.thread);
  if (!other) return text;
  const bool copied = other->thread == engine();
  text += std::string(", ") + verb(other->flags) + " by block " +
          std::to_string(shared ? worker->block_number : other->block) +
          (copied ? " TMA" : " thread " + std::to_string(other->thread));
  return text;
}

/// Compares one access with those of a cell and takes its place among them.
void judge(Cell& cell, std::uint8_t bytes, std::size_t offset, bool shared, const Accessor& a) {
  const std::uint32_t block = worker->block_number, launch = worker->launch_number;
  Access* place = nullptr;
  Access* oldest = nullptr;
  for (auto& b : cell.accesses) {
    if (!b.bytes || (!shared && b.launch != launch)) {
      b.bytes = 0;
      if (!place) place = &b;
      continue;
    }
    if (b.bytes & bytes) {
      const bool other_block = !shared && b.block != block;
      const bool same = b.thread == a.thread && !other_block && a.thread != engine();
      const bool ordered = same || (!other_block && b.clock <= a.clocks[b.thread]);
      const bool conflict = ((a.flags | b.flags) & kWrite) && !(a.flags & b.flags & kAtomic);
      const bool generic_to_async =
          (a.flags & kAsync) && (b.flags & kWrite) && !(b.flags & kAsync) && !other_block;
      if (conflict && !ordered)
        note(other_block ? "race between blocks" : "race", a.pc, b.pc,
             [&] { return describe(shared, offset, a, &b); });
      else if (conflict && generic_to_async && b.clock > a.clocks[members + b.thread])
        note("missing fence.proxy.async", a.pc, b.pc, [&] { return describe(shared, offset, a, &b); });
      const bool covered = (b.bytes & ~bytes) == 0;
      if (covered && same && (b.flags == a.flags || (a.flags & kWrite))) {
        place = &b;
      } else if (covered && ordered && (a.flags & kWrite)) {
        b.bytes = 0;
        if (!place) place = &b;
      }
    }
    const bool read = !(b.flags & kWrite);
    if (!oldest || (read && ((oldest->flags & kWrite) || b.clock < oldest->clock))) oldest = &b;
  }
  if (!place) place = oldest;
  *place = {a.pc, a.now, block, launch, static_cast<std::uint16_t>(a.thread), bytes, a.flags};
}

void judge_range(Shadow& shadow,
                 std::uintptr_t base,
                 std::uintptr_t begin,
                 std::size_t n,
                 bool shared,
                 const Accessor& a) {
  for (std::uintptr_t word = begin & ~std::uintptr_t(3); word < begin + n; word += 4) {
    std::uint8_t bytes = 0;
    for (std::uintptr_t b = 0; b < 4; ++b)
      if (word + b >= begin && word + b < begin + n) bytes |= static_cast<std::uint8_t>(1 << b);
    const std::size_t k = (word - base) / 4;
    if (a.flags & kWrite)
      shadow.initialised[k] |= bytes;
    else if ((shadow.initialised[k] & bytes) != bytes)
      note("uninitialised read", a.pc, nullptr,
           [&] { return describe(shared, static_cast<std::size_t>(begin - base), a, nullptr); });
    judge(shadow.cells[k], bytes, static_cast<std::size_t>(word - base), shared, a);
  }
}

std::map<std::uintptr_t, Shadow>::iterator region_of(std::uintptr_t address) {
  auto it = regions.upper_bound(address);
  if (it == regions.begin()) return regions.end();
  --it;
  return address < it->first + it->second.bytes ? it : regions.end();
}

void check(const void* p, std::size_t n, const Accessor& a) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const char* const what = a.flags & kWrite ? "write" : "read";
  if (in_shared(p)) {
    const auto arena = reinterpret_cast<std::uintptr_t>(worker->arena);
    if (!inside_shared_array(p, n)) {
      note("out-of-bounds shared memory", a.pc, nullptr,
           [&] { return describe(true, static_cast<std::size_t>(address - arena), a, nullptr); });
      return;
    }
    shared_touched = std::max(shared_touched, static_cast<std::size_t>(address - arena + n + 3) / 4);
    judge_range(shared_shadow(), arena, address, n, true, a);
    return;
  }
  const std::lock_guard lock(regions_mutex);
  const auto it = region_of(address);
  if (it == regions.end()) return;
  if (address + n > it->first + it->second.bytes)
    fail("%s of %zu bytes at %p runs past the end of an allocation", what, n, p);
  judge_range(it->second, it->first, address, n, false, a);
}

// The stack is each thread's own, but for what a wgmma in flight will still write.
void check_registers(const void* p, std::size_t n, bool write, const void* pc) {
  const auto t = static_cast<std::size_t>(current->linear);
  const auto* const begin = static_cast<const char*>(p);
  for (const auto& a : worker->warp_groups[t / 128].accumulators) {
    const auto* const first = reinterpret_cast<const char*>(a->registers[t % 128]);
    if (begin + n > first && begin < first + static_cast<std::size_t>(a->n / 2) * sizeof(float))
      note("accumulators of a wgmma in flight", pc, nullptr, [&] {
        return std::string(write ? "write" : "read") + " by block " + std::to_string(worker->block_number) +
               " thread " + std::to_string(t);
      });
  }
}

}  // namespace

void begin_block(const Worker& w) {
  members = w.threads + 1;
  clocks.assign(static_cast<std::size_t>(members) * row_size(), 0);
  for (int t = 0; t < members; ++t)
    row(t)[t] = 1;
  Shadow& shadow = shared_shadow();
  std::fill_n(shadow.cells.get(), shared_touched, Cell{});
  std::fill_n(shadow.initialised.get(), shared_touched, std::uint8_t(0));
  shared_touched = 0;
}

void join(const std::vector<std::uint16_t>& threads) {
  std::vector<std::uint32_t> all(row_size());
  for (const auto t : threads)
    merge(all.data(), row(t), all.size());
  for (const auto t : threads) {
    std::copy(all.begin(), all.end(), row(t));
    ++row(t)[t];
  }
}

void release(std::vector<std::uint32_t>& clock) {
  const int t = current->linear;
  clock.resize(row_size());
  merge(clock.data(), row(t), row_size());
  ++row(t)[t];
}

void acquire(const std::vector<std::uint32_t>& clock) {
  if (clock.size() == row_size()) merge(row(current->linear), clock.data(), row_size());
}

void proxy_fence() {
  const int t = current->linear;
  merge(row(t) + members, row(t), static_cast<std::size_t>(members));
  ++row(t)[t];
}

void access(const void* p, std::size_t bytes, bool write, bool atomic, const void* pc) {
  if (!in_kernel()) return;
  const Stack& stack = self()->stack;
  if (p >= stack.base && p < stack.base + stack.bytes) return check_registers(p, bytes, write, pc);
  const int t = current->linear;
  Accessor a{t, row(t), row(t)[t], 0, pc};
  a.flags = static_cast<std::uint8_t>((write ? kWrite : 0) | (atomic ? kAtomic : 0));
  check(p, bytes, a);
  const auto preempt = static_cast<std::uint64_t>(worker->config.preempt);
  if (preempt && random_word(*worker) % preempt == 0) yield();
}

// One copy of a thread's clocks serves all its operations until they change.
Clock issue_clock() {
  static Clock latest[kMaxThreads];
  const int t = current->linear;
  Clock& clock = latest[t];
  if (!clock || clock->size() != row_size() || !std::equal(clock->begin(), clock->end(), row(t)))
    clock = std::make_shared<const std::vector<std::uint32_t>>(row(t), row(t) + row_size());
  return clock;
}

void deferred_access(const void* p,
                     std::size_t bytes,
                     bool write,
                     bool async_proxy,
                     int thread,
                     const Clock& issued,
                     const void* pc) {
  Accessor a{thread, issued->data(), row(thread)[thread], 0, pc};
  a.flags = static_cast<std::uint8_t>((write ? kWrite : 0) | (async_proxy ? kAsync : 0));
  check(p, bytes, a);
}

std::vector<std::uint32_t> engine_clock() {
  const int t = current->linear;
  std::vector<std::uint32_t> clock(row(t), row(t) + row_size());
  ++row(t)[t];
  return clock;
}

void engine_access(
    const void* p, std::size_t bytes, bool write, std::vector<std::uint32_t>& clock, const void* pc) {
  const std::uint32_t now = ++row(engine())[engine()];
  clock[static_cast<std::size_t>(engine())] = now;
  Accessor a{engine(), clock.data(), now, kAsync, pc};
  if (write) a.flags |= kWrite;
  check(p, bytes, a);
}

void add_region(const void* p, std::size_t bytes) {
  const std::lock_guard lock(regions_mutex);
  regions.insert_or_assign(reinterpret_cast<std::uintptr_t>(p), Shadow(bytes));
}

void remove_region(const void* p) {
  const std::lock_guard lock(regions_mutex);
  regions.erase(reinterpret_cast<std::uintptr_t>(p));
}

void mark_initialised(const void* p, std::size_t bytes) {
  const std::lock_guard lock(regions_mutex);
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const auto it = region_of(address);
  if (it == regions.end()) return;
  const std::size_t first = address - it->first;
  const std::size_t end = std::min(first + bytes, it->second.bytes);
  for (std::size_t i = first; i < end; ++i)
    it->second.initialised[i / 4] |= static_cast<std::uint8_t>(1 << (i % 4));
}

}  // namespace clx::emulator::race

#endif
