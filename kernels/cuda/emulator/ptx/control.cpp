// Branches, barriers, warp functions and fences.
#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/instructions.h"
#include "kernels/cuda/emulator/ptx/reading.h"
#include "kernels/cuda/emulator/ptx/thread.h"

namespace clx::emulator::ptx {
namespace {

void branch(Thread& t, const Instruction& i) {
  t.pc = t.function->code.data() + i.value;
}

void leave(Thread& t, const Instruction&) {
  t.done = true;
}

void trap(Thread& t, const Instruction& i) {
  const Site at = site_of(t, i);
  fail("trap at %s:%u (PTX line %u)", at.file, at.line, i.line);
}

void pause(Thread&, const Instruction&) {
  yield();
}

void nothing(Thread&, const Instruction&) {}

void order_proxies(Thread&, const Instruction&) {
  fence_proxy_async();
}

// ------------------------------------------------------------------------------------------ barriers

/// The place of a barrier is that in the source: the compiler may have made several of one.
Site barrier_site(const Thread& t, const Instruction& i) {
  Site site = site_of(t, i);
  site.column = t.function->places[i.place].column;
  return site;
}

void synchronize(Thread& t, const Instruction& i) {
  const int threads = i.b == kNone ? 0 : read<int>(t, i.b);
  barrier_sync(read<int>(t, i.a), threads, barrier_site(t, i));
}

void arrive(Thread& t, const Instruction& i) {
  barrier_arrive(read<int>(t, i.a), read<int>(t, i.b), barrier_site(t, i));
}

template <Vote kVote>
void vote_at_barrier(Thread& t, const Instruction& i) {
  const int result = barrier_vote(kVote, read<bool>(t, i.b), barrier_site(t, i));
  if constexpr (kVote == Vote::count)
    write<std::uint32_t>(t, i.d, static_cast<std::uint32_t>(result));
  else
    write<bool>(t, i.d, result != 0);
}

void synchronize_warp(Thread& t, const Instruction& i) {
  warp_collective(
      read<std::uint32_t>(t, i.a), [](void* const*, std::uint32_t) {}, nullptr, true, site_of(t, i));
}

void decode_barrier(Reading& r) {
  r.take("aligned");
  r.take("cta");
  if (r.take("warp")) {
    if (r.take("sync")) r.i.run = synchronize_warp;
    r.i.a = r.operand(0).id;
    return;
  }
  if (r.take("red")) {
    // Of all threads of the block: the operands are the result, the barrier and the predicate.
    if (r.operands() != 3 || r.literal(1) != 0) return;
    const int vote = r.take_one_of({"popc", "and", "or"});
    if (vote == 0) r.i.run = vote_at_barrier<Vote::count>;
    if (vote == 1) r.i.run = vote_at_barrier<Vote::all>;
    if (vote == 2) r.i.run = vote_at_barrier<Vote::any>;
    return r.use_operands();
  }
  if (r.take("sync"))
    r.i.run = synchronize;
  else if (r.take("arrive"))
    r.i.run = arrive;
  r.i.a = r.operand(0).id;
  if (r.operands() > 1) r.i.b = r.operand(1).id;
}

// ------------------------------------------------------------------------------------------ warp functions

// The operand after the lane holds the width of a segment and, below it, the last lane to read from.
template <Shuffle kKind>
void exchange(Thread& t, const Instruction& i) {
  const std::uint32_t mask = read<std::uint32_t>(t, t.function->lists[i.list + 1]);
  const auto limits = read<std::uint32_t>(t, i.c);
  const int lane = read<int>(t, i.b), width = 32 - static_cast<int>(limits >> 8 & 31);
  const auto value = shuffle(mask, kKind, read<std::uint32_t>(t, i.a), lane, width, site_of(t, i));
  write<std::uint32_t>(t, i.d, static_cast<std::uint32_t>(value));
  const int first = current->lane & ~(width - 1), last = first + width - 1;
  const int source = kKind == Shuffle::up      ? current->lane - lane
                     : kKind == Shuffle::down  ? current->lane + lane
                     : kKind == Shuffle::index ? first
                                               : current->lane ^ lane;
  write<bool>(t, t.function->lists[i.list], source >= first && source <= last);
}

void decode_shuffle(Reading& r) {
  if (!r.take("sync")) return;
  const int kind = r.take_one_of({"idx", "up", "down", "bfly"});
  constexpr Handler kHandlers[] = {exchange<Shuffle::index>, exchange<Shuffle::up>, exchange<Shuffle::down>,
                                   exchange<Shuffle::exclusive_or>};
  if (kind < 0 || r.type() != Type::b32) return;
  r.i.d = r.operand(0).id;
  r.i.a = r.operand(1).id;
  r.i.b = r.operand(2).id;
  r.i.c = r.operand(3).id;
  r.define(r.operand(0).second != kNone ? r.operand(0).second : r.new_register());
  r.use(r.operand(4).id);
  r.i.run = kHandlers[kind];
}

enum WarpVote { votes, any_of, all_of, same };

template <WarpVote kVote>
void vote(Thread& t, const Instruction& i) {
  const auto mask = read<std::uint32_t>(t, i.b);
  const std::uint32_t result = ballot(mask, read<bool>(t, i.a), site_of(t, i));
  if constexpr (kVote == votes) write<std::uint32_t>(t, i.d, result);
  if constexpr (kVote == any_of) write<bool>(t, i.d, result != 0);
  if constexpr (kVote == all_of) write<bool>(t, i.d, result == mask);
  if constexpr (kVote == same) write<bool>(t, i.d, result == mask || result == 0);
}

template <class T>
void match(Thread& t, const Instruction& i) {
  write<std::uint32_t>(t, i.d, match_any(read<std::uint32_t>(t, i.b), read<T>(t, i.a), site_of(t, i)));
}

template <Reduction kReduction>
void reduce_warp(Thread& t, const Instruction& i) {
  write<std::uint32_t>(
      t, i.d, reduce(read<std::uint32_t>(t, i.b), kReduction, read<std::uint32_t>(t, i.a), site_of(t, i)));
}

void decode_warp_function(Reading& r) {
  if (!r.take("sync")) return;
  const auto base = r.base();
  if (base == "vote") {
    const int kind = r.take_one_of({"ballot", "any", "all", "uni"});
    constexpr Handler kVotes[] = {vote<votes>, vote<any_of>, vote<all_of>, vote<same>};
    if (kind >= 0) r.i.run = kVotes[kind];
  } else if (base == "match") {
    if (r.take("any")) r.i.run = r.type() == Type::b64 ? match<std::uint64_t> : match<std::uint32_t>;
  } else if (r.type() == Type::u32) {
    const int kind = r.take_one_of({"add", "min", "max"});
    constexpr Handler kReductions[] = {reduce_warp<Reduction::add>, reduce_warp<Reduction::min>,
                                       reduce_warp<Reduction::max>};
    if (kind >= 0) r.i.run = kReductions[kind];
  }
  r.use_operands();
}

// Threads see each other's accesses at once; only the order between generic and asynchronous ones is kept.
void decode_fence(Reading& r) {
  const bool proxy = r.take("proxy");
  for (const auto part : {"async", "shared::cta", "mbarrier_init", "release", "cluster", "sc", "acq_rel",
                          "cta", "gl", "gpu", "sys"})
    r.take(part);
  r.i.run = proxy ? order_proxies : nothing;
}

}  // namespace

void decode_control(Reading& r) {
  const auto base = r.base();
  if (base == "bra") {
    r.take("uni");
    r.i.run = branch;
  } else if (base == "ret" || base == "exit") {
    r.take("uni");
    r.i.run = leave;
  } else if (base == "trap") {
    r.i.run = trap;
  } else if (base == "nanosleep") {
    r.i.run = pause;
  } else if (base == "bar" || base == "barrier") {
    decode_barrier(r);
  } else if (base == "shfl") {
    decode_shuffle(r);
  } else if (base == "vote" || base == "match" || base == "redux") {
    decode_warp_function(r);
  } else if (base == "fence" || base == "membar") {
    decode_fence(r);
  } else if (base == "griddepcontrol" && r.take_one_of({"wait", "launch_dependents"}) >= 0) {
    r.i.run = nothing;  // launches follow one another
  } else if (base == "setmaxnreg" && r.take_one_of({"inc", "dec"}) >= 0 && r.take("sync") &&
             r.take("aligned")) {
    r.i.run = nothing;
  }
}

bool is_branch(const Instruction& i) {
  return i.run == branch;
}

bool leaves(const Instruction& i) {
  return i.run == leave || i.run == trap;
}

}  // namespace clx::emulator::ptx
