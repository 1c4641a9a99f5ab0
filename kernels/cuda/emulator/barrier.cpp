// Block barriers and named barriers: a counter each.
#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/race.h"

namespace clx::emulator {
namespace {

void require_same_barrier(const Barrier& barrier, int id, int count, Site site) {
  if (barrier.expected != count)
    fail("barrier %d at %s:%u: used with counts %d and %d", id, site.file, site.line, barrier.expected,
         count);
  if (count == 0 && !same_place(barrier.site, site))
    fail("divergent __syncthreads at %s:%u: other threads wait at %s:%u", site.file, site.line,
         barrier.site.file, barrier.site.line);
}

int arrive(int id, int count, Vote vote, bool predicate, bool wait, Site site) {
  Worker& w = *worker;
  if (id < 0 || id >= kMaxBarriers) fail("barrier %d at %s:%u: not in 0..15", id, site.file, site.line);
  if (count % 32 != 0 || count > w.threads)
    fail("barrier %d at %s:%u: count %d is not a multiple of 32 within the block", id, site.file, site.line,
         count);
  if (count == 0 && w.live != w.threads)
    fail("__syncthreads at %s:%u: %d thread(s) of the block have exited", site.file, site.line,
         w.threads - w.live);

  Barrier& barrier = w.barriers[id];
  if (barrier.used) {
    require_same_barrier(barrier, id, count, site);
  } else {
    barrier.used = true;
    barrier.expected = count;
    barrier.site = site;
    barrier.votes = 0;
  }
  barrier.votes += predicate;
  barrier.members.push_back(static_cast<std::uint16_t>(current->linear));
  ++barrier.arrived;
  const int needed = count ? count : w.threads;
  if (barrier.arrived < needed) {
    if (!wait) return 0;
    barrier.waiting.push_back(static_cast<std::uint16_t>(current->linear));
    wait_for(id == 0 ? "__syncthreads" : "named barrier", site);
    return barrier.result;
  }

  race::join(barrier.members);
  const int result = vote == Vote::count ? barrier.votes
                     : vote == Vote::all ? barrier.votes == needed
                                         : barrier.votes > 0;
  barrier.result = result;
  barrier.used = false;
  barrier.arrived = 0;
  barrier.members.clear();
  for (const auto thread : barrier.waiting)
    make_ready(thread);
  barrier.waiting.clear();
  if (wait) yield_in_random_order();  // the last to arrive is not always the first to leave
  return result;
}

}  // namespace

void barrier_sync(int id, int count, Site site) {
  arrive(id, count, Vote::any, false, true, site);
}
void barrier_arrive(int id, int count, Site site) {
  arrive(id, count, Vote::any, false, false, site);
}
int barrier_vote(Vote vote, bool predicate, Site site) {
  return arrive(0, 0, vote, predicate, true, site);
}

void leave_barriers(Fiber& fiber) {
  Worker& w = *worker;
  --w.live;
  fiber.done = true;
  w.warps[fiber.warp].exited |= 1u << fiber.lane;
  const Barrier& barrier = w.barriers[0];
  if (barrier.arrived && barrier.expected == 0)
    fail("a thread exits while %d thread(s) wait at __syncthreads (%s:%u)", barrier.arrived,
         barrier.site.file, barrier.site.line);
}

}  // namespace clx::emulator
