// Warp and warpgroup collectives: the last lane to arrive computes for all.
#include <algorithm>
#include <bit>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/race.h"

namespace clx::emulator {
namespace {

Collective& find_collective(Warp& warp, std::uint32_t mask, Site site) {
  Collective* unused = nullptr;
  for (auto& c : warp.collectives) {
    if (c.arrived && (c.mask & mask)) return c;
    if (!c.arrived && !unused) unused = &c;
  }
  if (!unused) fail("warp collective at %s:%u: more than four at the same time", site.file, site.line);
  return *unused;
}

void release_lanes(int warp, std::uint32_t lanes) {
  for (; lanes; lanes &= lanes - 1)
    make_ready(warp * 32 + std::countr_zero(lanes));
}

template <class Argument, class F>
void for_lanes(void* const* lanes, std::uint32_t mask, F f) {
  for (int lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) f(lane, *static_cast<Argument*>(lanes[lane]));
}

}  // namespace

void warp_collective(std::uint32_t mask, WarpFunction function, void* mine, bool orders_memory, Site site) {
  Fiber& fiber = *self();
  Warp& warp = worker->warps[fiber.warp];
  const std::uint32_t bit = 1u << fiber.lane;
  const std::uint32_t members = mask & warp.exist;  // a full mask is right in a last, partial warp too
  if (members != mask && mask != 0xffffffffu)
    fail("warp collective at %s:%u: mask %08x names lanes that do not exist", site.file, site.line, mask);
  if (!(mask & bit))
    fail("warp collective at %s:%u: lane %d is outside its mask %08x", site.file, site.line, fiber.lane,
         mask);
  if (warp.exited & members)
    fail("warp collective at %s:%u: lanes %08x of its mask have exited", site.file, site.line,
         warp.exited & members);

  Collective& collective = find_collective(warp, members, site);
  if (collective.arrived == 0) {
    collective.mask = members;
    collective.function = function;
    collective.orders_memory = orders_memory;
    collective.site = site;
  } else if (collective.mask != members || collective.function != function ||
             !same_place(collective.site, site)) {
    fail("divergent warp collective at %s:%u (mask %08x): lanes %08x wait at %s:%u (mask %08x)", site.file,
         site.line, members, collective.arrived, collective.site.file, collective.site.line, collective.mask);
  }
  collective.lanes[fiber.lane] = mine;
  collective.arrived |= bit;
  if (collective.arrived != members) {
    wait_for("warp collective", site);
    return;
  }
  function(collective.lanes, members);
  if (orders_memory && race::kOn) {
    std::vector<std::uint16_t> threads;
    for (std::uint32_t rest = members; rest; rest &= rest - 1)
      threads.push_back(static_cast<std::uint16_t>(fiber.warp * 32 + std::countr_zero(rest)));
    race::join(threads);
  }
  collective.arrived = 0;
  release_lanes(fiber.warp, members & ~bit);
  yield_in_random_order();
}

void warpgroup_collective(GroupFunction function, void* mine, Site site) {
  const int thread = current->linear, group = thread / 128;
  if ((group + 1) * 128 > worker->threads)
    fail("warpgroup instruction at %s:%u: warpgroup %d is not complete", site.file, site.line, group);
  WarpGroup& g = worker->warp_groups[group];
  if (g.arrived == 0) {
    g.function = function;
    g.site = site;
  } else if (g.function != function || !same_place(g.site, site)) {
    fail("divergent warpgroup instruction at %s:%u: other threads are at %s:%u", site.file, site.line,
         g.site.file, g.site.line);
  }
  g.lanes[thread % 128] = mine;
  if (++g.arrived < 128) {
    wait_for("warpgroup instruction", site);
    return;
  }
  g.arrived = 0;
  function(g.lanes);
  for (int t = group * 128; t < (group + 1) * 128; ++t)
    if (t != thread) make_ready(t);
}

namespace {

struct ShuffleArgument {
  std::uint64_t in = 0, out = 0;
  int lane = 0, width = 32;
  bool outside = false;
};

template <Shuffle kKind>
int source_lane(int lane, const ShuffleArgument& x) {
  const int first = lane & ~(x.width - 1), last = first + x.width - 1;
  int source = lane;
  if (kKind == Shuffle::index) return first + (x.lane & (x.width - 1));
  if (kKind == Shuffle::up) source = lane - x.lane;
  if (kKind == Shuffle::down) source = lane + x.lane;
  if (kKind == Shuffle::exclusive_or) source = lane ^ x.lane;
  const bool below = kKind == Shuffle::up && source < first;
  const bool above = kKind != Shuffle::up && source > last;
  return below || above ? lane : source;
}

template <Shuffle kKind>
void run_shuffle(void* const* lanes, std::uint32_t mask) {
  for_lanes<ShuffleArgument>(lanes, mask, [&](int lane, ShuffleArgument& x) {
    const int source = source_lane<kKind>(lane, x);
    x.outside = !(mask >> source & 1);
    if (!x.outside) x.out = static_cast<ShuffleArgument*>(lanes[source])->in;
  });
}

struct BallotArgument {
  bool predicate;
  std::uint32_t result;
};

void run_ballot(void* const* lanes, std::uint32_t mask) {
  std::uint32_t result = 0;
  for_lanes<BallotArgument>(
      lanes, mask, [&](int lane, BallotArgument& x) { result |= std::uint32_t(x.predicate) << lane; });
  for_lanes<BallotArgument>(lanes, mask, [&](int, BallotArgument& x) { x.result = result; });
}

struct MatchArgument {
  std::uint64_t value;
  std::uint32_t result;
};

void run_match(void* const* lanes, std::uint32_t mask) {
  for_lanes<MatchArgument>(lanes, mask, [&](int, MatchArgument& x) {
    for_lanes<MatchArgument>(lanes, mask, [&](int other, MatchArgument& y) {
      x.result |= std::uint32_t(x.value == y.value) << other;
    });
  });
}

template <Reduction kKind>
void run_reduction(void* const* lanes, std::uint32_t mask) {
  std::uint32_t result = kKind == Reduction::min ? ~0u : 0u;
  for_lanes<std::uint32_t>(lanes, mask, [&](int, std::uint32_t& v) {
    if (kKind == Reduction::add) result += v;
    if (kKind == Reduction::max) result = std::max(result, v);
    if (kKind == Reduction::min) result = std::min(result, v);
  });
  for_lanes<std::uint32_t>(lanes, mask, [&](int, std::uint32_t& v) { v = result; });
}

}  // namespace

std::uint64_t shuffle(std::uint32_t mask, Shuffle kind, std::uint64_t value, int lane, int width, Site site) {
  if (width < 1 || width > 32 || (width & (width - 1)))
    fail("shuffle at %s:%u: width %d is not a power of two up to 32", site.file, site.line, width);
  static constexpr WarpFunction kFunctions[] = {run_shuffle<Shuffle::index>, run_shuffle<Shuffle::up>,
                                                run_shuffle<Shuffle::down>,
                                                run_shuffle<Shuffle::exclusive_or>};
  ShuffleArgument x{value, 0, lane, width, false};
  warp_collective(mask, kFunctions[static_cast<int>(kind)], &x, false, site);
  if (x.outside) fail("shuffle at %s:%u: reads a lane outside the mask %08x", site.file, site.line, mask);
  return x.out;
}

std::uint32_t ballot(std::uint32_t mask, bool predicate, Site site) {
  BallotArgument x{predicate, 0};
  warp_collective(mask, run_ballot, &x, false, site);
  return x.result;
}

std::uint32_t match_any(std::uint32_t mask, std::uint64_t value, Site site) {
  MatchArgument x{value, 0};
  warp_collective(mask, run_match, &x, false, site);
  return x.result;
}

std::uint32_t reduce(std::uint32_t mask, Reduction kind, std::uint32_t value, Site site) {
  static constexpr WarpFunction kFunctions[] = {run_reduction<Reduction::add>, run_reduction<Reduction::max>,
                                                run_reduction<Reduction::min>};
  warp_collective(mask, kFunctions[static_cast<int>(kind)], &value, false, site);
  return value;
}

}  // namespace clx::emulator
