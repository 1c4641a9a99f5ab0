// Loads, stores, atomics and copies, each address checked.
#include <array>
#include <atomic>
#include <cstdio>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/instructions.h"
#include "kernels/cuda/emulator/ptx/reading.h"
#include "kernels/cuda/emulator/ptx/thread.h"
#include "kernels/cuda/emulator/race.h"
#include "kernels/cuda/emulator/regions.h"

namespace clx::emulator::ptx {
namespace {

bool within(const unsigned char* p, std::size_t bytes, const unsigned char* begin, std::size_t size) {
  return p >= begin && bytes <= size && static_cast<std::size_t>(p - begin) <= size - bytes;
}

[[noreturn]] void refuse(const Thread& t,
                         const Instruction& i,
                         const char* what,
                         std::uint64_t address,
                         std::size_t bytes,
                         bool write) {
  const Site at = site_of(t, i);
  fail("%s at %s:%u (PTX line %u): %zu bytes at %#llx: %s", write ? "store" : "load", at.file, at.line,
       i.line, bytes, static_cast<unsigned long long>(address), what);
}

[[noreturn]] void refuse_global(const Thread& t,
                                const Instruction& i,
                                const unsigned char* p,
                                std::size_t bytes,
                                bool write,
                                const Region& allocation) {
  const auto begin = reinterpret_cast<std::uintptr_t>(p);
  char text[160];
  if (begin < allocation.begin)
    std::snprintf(text, sizeof text, "%zu bytes before an allocation of %zu bytes", allocation.begin - begin,
                  allocation.bytes());
  else
    std::snprintf(text, sizeof text, "%zu bytes past the end of an allocation of %zu bytes",
                  begin + bytes - allocation.end, allocation.bytes());
  refuse(t, i, text, begin, bytes, write);
}

/// The allocations that the instructions of the current launch used last.
struct Recent {
  std::uint32_t launch = 0;
  std::array<Region, 64> regions;
};

void check_global(
    const Thread& t, const Instruction& i, const unsigned char* p, std::size_t bytes, bool write) {
  thread_local Recent recent;
  if (recent.launch != worker->launch_number) recent = {worker->launch_number, {}};
  Region& region = recent.regions[static_cast<std::size_t>(&i - t.function->code.data()) % 64];
  if (region.contains(p, bytes)) return;
  const Region found = region_of(p);
  if (!found.contains(p, bytes)) refuse_global(t, i, p, bytes, write, found);
  region = found;
}

void check_shared(
    const Thread& t, const Instruction& i, const unsigned char* p, std::size_t bytes, bool write) {
  for (const auto& array : worker->arrays)
    if (within(p, bytes, array.data, array.bytes)) return;
  refuse(t, i, "outside the shared arrays of the block", static_cast<std::uint64_t>(p - worker->arena), bytes,
         write);
}

}  // namespace

template <Space kSpace>
unsigned char* memory_at(
    const Thread& t, const Instruction& i, std::uint64_t address, std::size_t bytes, bool is_write) {
  if (address % bytes) refuse(t, i, "misaligned", address, bytes, is_write);
  unsigned char* p = reinterpret_cast<unsigned char*>(address);
  if constexpr (kSpace == Space::shared) {
    p = worker->arena + (static_cast<std::uint32_t>(address) - kSharedWindow);
    check_shared(t, i, p, bytes, is_write);
  } else if constexpr (kSpace == Space::parameter) {
    if (!within(p, bytes, t.parameters, t.function->parameter_bytes))
      refuse(t, i, "outside the kernel's parameters", address, bytes, is_write);
    return p;
  } else if constexpr (kSpace == Space::local) {
    if (!within(p, bytes, t.local, t.function->local_bytes))
      refuse(t, i, "outside the thread's local arrays", address, bytes, is_write);
    return p;
  } else if constexpr (kSpace == Space::global) {
    check_global(t, i, p, bytes, is_write);
  } else {
    if (within(p, bytes, t.local, t.function->local_bytes)) return p;
    if (within(p, bytes, t.parameters, t.function->parameter_bytes)) return p;
    if (in_shared(p))
      check_shared(t, i, p, bytes, is_write);
    else
      check_global(t, i, p, bytes, is_write);
  }
  return p;
}

template unsigned char* memory_at<Space::generic>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);
template unsigned char* memory_at<Space::global>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);
template unsigned char* memory_at<Space::shared>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);
template unsigned char* memory_at<Space::local>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);
template unsigned char* memory_at<Space::parameter>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);

namespace {

std::uint64_t address_of(const Thread& t, const Instruction& i) {
  return t.r[i.a] + static_cast<std::uint64_t>(i.value);
}

template <class T, Space kSpace, int kCount>
void load(Thread& t, const Instruction& i) {
  T values[kCount];
  const unsigned char* const p = memory_at<kSpace>(t, i, address_of(t, i), sizeof values, false);
  if constexpr (kSpace != Space::parameter) race::access(p, sizeof values, false, false, &i);
  std::memcpy(values, p, sizeof values);
  if constexpr (kCount == 1) {
    write<T>(t, i.d, values[0]);
  } else {
    for (int k = 0; k < kCount; ++k)
      write<T>(t, t.function->lists[i.list + static_cast<std::uint32_t>(k)], values[k]);
  }
}

template <class T, Space kSpace, int kCount>
void store(Thread& t, const Instruction& i) {
  T values[kCount];
  if constexpr (kCount == 1) {
    values[0] = read<T>(t, i.b);
  } else {
    for (int k = 0; k < kCount; ++k)
      values[k] = read<T>(t, t.function->lists[i.list + static_cast<std::uint32_t>(k)]);
  }
  unsigned char* const p = memory_at<kSpace>(t, i, address_of(t, i), sizeof values, true);
  race::access(p, sizeof values, true, false, &i);
  std::memcpy(p, values, sizeof values);
}

template <class T, Space kSpace>
Handler transfer(bool is_store, int count) {
  switch (count) {
    case 1:
      return is_store ? store<T, kSpace, 1> : load<T, kSpace, 1>;
    case 2:
      return is_store ? store<T, kSpace, 2> : load<T, kSpace, 2>;
    default:
      return is_store ? store<T, kSpace, 4> : load<T, kSpace, 4>;
  }
}

/// make<kSpace>() for the space in the instruction's name.
template <class F>
Handler in_space(Reading& r, F make) {
  if (r.take("global") || r.take("const")) return make.template operator()<Space::global>();
  if (r.take("shared") || r.take("shared::cta")) return make.template operator()<Space::shared>();
  if (r.take("local")) return make.template operator()<Space::local>();
  if (r.take("param")) return make.template operator()<Space::parameter>();
  return make.template operator()<Space::generic>();
}

// What tells caches and other observers how to see the access; here every access is seen by all at once.
void take_cache_hints(Reading& r) {
  for (const auto hint : {"nc",
                          "ca",
                          "cg",
                          "cs",
                          "lu",
                          "cv",
                          "wb",
                          "wt",
                          "volatile",
                          "weak",
                          "relaxed",
                          "acquire",
                          "release",
                          "acq_rel",
                          "cta",
                          "gpu",
                          "sys",
                          "L1::no_allocate",
                          "L1::evict_first",
                          "L1::evict_last",
                          "L2::64B",
                          "L2::128B",
                          "L2::256B"})
    r.take(hint);
}

void decode_transfer(Reading& r, bool is_store) {
  take_cache_hints(r);
  const int count = r.take("v4") ? 4 : r.take("v2") ? 2 : 1;
  r.i.run = in_space(r, [&]<Space kSpace>() {
    return select(r.type(),
                  [&](auto x) -> Handler { return transfer<decltype(x), kSpace>(is_store, count); });
  });
  r.use_address(is_store ? 0 : 1);
  const Operand& values = r.operand(is_store ? 1 : 0);
  if ((values.kind == Operand::Kind::vector) != (count > 1)) r.unknown();
  if (count > 1 && is_store)
    r.use(values);
  else if (count > 1)
    r.define(values);
  else
    (is_store ? r.i.b : r.i.d) = values.id;
}

// ------------------------------------------------------------------------------------------ atomics

enum Update { add, exchange, minimum, maximum, with_and, with_or, with_xor, increment, decrement, swap_if };

template <class T>
T updated(int update, T old, T v, T other) {
  if constexpr (std::is_integral_v<T>) {
    if (update == add) return static_cast<T>(std::uint64_t(old) + std::uint64_t(v));
    if (update == with_and) return old & v;
    if (update == with_or) return old | v;
    if (update == with_xor) return old ^ v;
    if (update == increment) return old >= v ? T(0) : static_cast<T>(old + 1);
    if (update == decrement) return old == 0 || old > v ? v : static_cast<T>(old - 1);
    if (update == swap_if) return old == v ? other : old;
  } else if (update == add) {
    return old + v;
  }
  if (update == minimum) return v < old ? v : old;
  if (update == maximum) return old < v ? v : old;
  return v;
}

template <class T, Space kSpace>
void atomic(Thread& t, const Instruction& i) {
  T* const p = reinterpret_cast<T*>(memory_at<kSpace>(t, i, address_of(t, i), sizeof(T), true));
  before_atomic(p, sizeof(T));
  const T v = read<T>(t, i.b), other = i.c == kNone ? T() : read<T>(t, i.c);
  std::atomic_ref<T> word(*p);
  T old = word.load();
  while (!word.compare_exchange_weak(old, updated<T>(i.detail, old, v, other))) {
  }
  if (i.d != kNone) write<T>(t, i.d, old);
}

void decode_atomic(Reading& r, bool has_result) {
  take_cache_hints(r);
  const int update = r.take_one_of({"add", "exch", "min", "max", "and", "or", "xor", "inc", "dec", "cas"});
  if (update < 0) return;
  r.i.detail = static_cast<std::uint8_t>(update);
  r.i.run = in_space(r, [&]<Space kSpace>() {
    return select(r.type(), [](auto x) -> Handler {
      if constexpr (sizeof(x) < 4)
        return nullptr;
      else
        return atomic<decltype(x), kSpace>;
    });
  });
  const std::size_t first = has_result ? 1 : 0;
  if (has_result) r.i.d = r.operand(0).id;
  r.use_address(first);
  r.i.b = r.operand(first + 1).id;
  if (update == swap_if) r.i.c = r.operand(first + 2).id;
}

// ------------------------------------------------------------------------------------------ addresses,
// copies

void keep_address(Thread& t, const Instruction& i) {
  t.r[i.d] = t.r[i.a];
}

void shared_to_generic(Thread& t, const Instruction& i) {
  t.r[i.d] = reinterpret_cast<std::uint64_t>(shared_pointer(read<std::uint32_t>(t, i.a)));
}

void generic_to_shared(Thread& t, const Instruction& i) {
  t.r[i.d] = shared_address(reinterpret_cast<const void*>(t.r[i.a]));
}

void decode_address(Reading& r) {
  const bool to = r.take("to");
  if (r.take("shared"))
    r.i.run = to ? generic_to_shared : shared_to_generic;
  else if (r.take_one_of({"global", "local", "param", "const"}) >= 0)
    r.i.run = keep_address;
  r.use_operands();
}

void copy_async(Thread& t, const Instruction& i) {
  const std::uint32_t bytes = i.detail;
  const std::uint32_t source_bytes = i.c == kNone ? bytes : read<std::uint32_t>(t, i.c);
  auto* const source =
      reinterpret_cast<unsigned char*>(t.r[i.b] + static_cast<std::uint64_t>(i.second_offset));
  if (source_bytes) check_global(t, i, source, source_bytes, false);
  const auto to = static_cast<std::uint32_t>(address_of(t, i));
  cp_async(shared_pointer(to), source, bytes, source_bytes, site_of(t, i));
}

void commit_copies(Thread&, const Instruction&) {
  cp_async_commit();
}

void wait_for_copies(Thread&, const Instruction& i) {
  cp_async_wait(static_cast<int>(i.value));
}

}  // namespace

void decode_memory(Reading& r) {
  const auto base = r.base();
  if (base == "ld" || base == "st") return decode_transfer(r, base == "st");
  if (base == "ldu" && r.take("global")) return decode_transfer(r, false);
  if (base == "atom" || base == "red") return decode_atomic(r, base == "atom");
  if (base == "cvta") return decode_address(r);
  if (base != "cp" || r.has("bulk") || !r.take("async")) return;
  if (r.take("commit_group")) {
    r.i.run = commit_copies;
  } else if (r.take("wait_group")) {
    r.i.value = r.literal(0);
    r.i.run = wait_for_copies;
  } else if (r.take("wait_all")) {
    r.i.run = wait_for_copies;
  } else if (r.take("shared") && r.take("global") && r.take_one_of({"ca", "cg"}) >= 0) {
    take_cache_hints(r);
    r.use_address(0);
    r.i.detail = static_cast<std::uint8_t>(r.literal(2));
    if (r.operands() > 3) r.i.c = r.operand(3).id;
    if (r.operand(1).kind != Operand::Kind::address) r.unknown();
    r.i.b = r.operand(1).id;
    r.i.second_offset = r.operand(1).number;
    r.i.run = copy_async;
  }
}

}  // namespace clx::emulator::ptx
