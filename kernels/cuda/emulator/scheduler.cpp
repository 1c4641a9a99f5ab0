// Chooses who runs next. One fiber per thread; a fiber runs until it must wait, then switches directly to
// the next one.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>

#include "kernels/cuda/emulator/block.h"

namespace clx::emulator {

constinit thread_local ThreadContext* current = nullptr;
constinit thread_local Worker* worker = nullptr;

std::uint64_t random_word(Worker& w) {
  w.random_state ^= w.random_state << 13;
  w.random_state ^= w.random_state >> 7;
  w.random_state ^= w.random_state << 17;
  return w.random_state;
}

bool same_place(const Site& a, const Site& b) {
  return a.line == b.line && a.column == b.column && (a.file == b.file || !std::strcmp(a.file, b.file));
}

namespace {

// Random order follows probabilistic concurrency testing: fixed priorities that change now and then find
// what a uniform choice almost never does, a thread that falls far behind.
// Source: Burckhardt et al., "A randomized scheduler with probabilistic guarantees", ASPLOS 2010.
std::uint32_t random_key(Worker& w, int thread) {
  enum { uniform, per_warp, per_thread };
  const std::uint64_t r = random_word(w);
  const auto high = static_cast<std::uint32_t>(r >> 32);
  if (w.policy == uniform) return high;
  const int owner = w.policy == per_warp ? thread / 32 : thread;
  if ((r & 255) == 0) w.priority[owner] = high;
  if (w.policy == per_thread) return w.priority[owner];
  return (w.priority[owner] & 0xffffff00u) | (static_cast<std::uint32_t>(r >> 8) & 0xffu);
}

bool anyone_ready(const Worker& w) {
  return w.config.order == Order::random ? !w.heap.empty() : w.ring_head != w.ring_tail;
}

int take_ready(Worker& w) {
  if (w.config.order != Order::random) return w.ring[w.ring_head++ % std::size(w.ring)];
  std::pop_heap(w.heap.begin(), w.heap.end());
  const int thread = static_cast<int>(w.heap.back() & 0xffff);
  w.heap.pop_back();
  return thread;
}

void jump(Fiber* from, Fiber* to) {
  current = to;
  switch_stack(from->stack, to->stack);
}

bool run_one_async(Worker& w) {
  if (w.async.empty()) return false;
  const std::size_t i = w.config.async == Async::random ? random_word(w) % w.async.size() : 0;
  const auto operation = std::move(w.async[i]);
  w.async.erase(w.async.begin() + static_cast<std::ptrdiff_t>(i));
  operation();
  return true;
}

std::string describe_deadlock(const Worker& w) {
  struct Group {
    int first = 0, count = 0;
  };
  std::map<std::string, Group> groups;
  for (int i = 0; i < w.threads; ++i) {
    const Fiber& fiber = w.fibers[static_cast<std::size_t>(i)];
    if (fiber.done) continue;
    char text[512];
    std::snprintf(text, sizeof text, "%s at %s:%u", fiber.waiting_for ? fiber.waiting_for : "?",
                  fiber.site.file, fiber.site.line);
    Group& group = groups[text];
    if (group.count++ == 0) group.first = i;
  }
  std::string message = "deadlock: no thread can run.";
  for (const auto& [what, group] : groups)
    message += "\n    " + std::to_string(group.count) + " thread(s), the first is " +
               std::to_string(group.first) + ": " + what;
  if (w.live < w.threads) message += "\n    " + std::to_string(w.threads - w.live) + " thread(s) have exited";
  return message;
}

// `fail` never returns, so nothing that owns memory may be alive here.
[[noreturn]] void report_deadlock(const Worker& w) {
  char text[2048];
  std::snprintf(text, sizeof text, "%s", describe_deadlock(w).c_str());
  fail("%s", text);
}

}  // namespace

void make_ready(int thread) {
  Worker& w = *worker;
  if (w.config.order != Order::random) {
    w.ring[w.ring_tail++ % std::size(w.ring)] = static_cast<std::uint16_t>(thread);
    return;
  }
  const std::uint64_t key = random_key(w, thread);
  w.heap.push_back(key << 16 | static_cast<std::uint64_t>(thread));
  std::push_heap(w.heap.begin(), w.heap.end());
}

void schedule() {
  Worker& w = *worker;
  Fiber* const me = self();
  for (;;) {
    const bool hurry = w.config.async == Async::random && !w.lazy_async && !w.async.empty();
    if (hurry && (random_word(w) & 7) == 0) {
      run_one_async(w);
      continue;
    }
    if (anyone_ready(w)) {
      Fiber* const next = &w.fibers[static_cast<std::size_t>(take_ready(w))];
      if (next != me) jump(me, next);
      return;
    }
    if (w.live == 0) {
      if (me != &w.host) jump(me, &w.host);
      return;
    }
    if (!run_one_async(w)) report_deadlock(w);
  }
}

void wait_for(const char* what, Site site) {
  Fiber* const fiber = self();
  fiber->waiting_for = what;
  fiber->site = site;
  schedule();
  fiber->waiting_for = nullptr;
}

void yield() {
  if (!in_kernel()) return;
  if (!anyone_ready(*worker)) {
    run_one_async(*worker);
    return;
  }
  make_ready(current->linear);
  schedule();
}

void yield_in_random_order() {
  if (worker->config.order == Order::random) yield();
}

bool async_now() {
  const Async when = worker->config.async;
  return when == Async::early || (when == Async::random && (random_word(*worker) & 1));
}

void start_threads(Worker& w, void (*entry)()) {
  w.ring_head = w.ring_tail = 0;
  w.heap.clear();
  w.random_state =
      (w.config.seed * 0x9E3779B97F4A7C15ull) ^ ((w.block_number + 1ull) * 0xBF58476D1CE4E5B9ull) ^ 1;
  for (int i = 0; i < 3; ++i)
    random_word(w);
  w.policy = static_cast<int>(random_word(w) % 3);
  w.lazy_async = random_word(w) & 1;
  if (w.config.order == Order::random)
    for (auto& p : w.priority)
      p = static_cast<std::uint32_t>(random_word(w) >> 32);
  w.live = w.threads;
  w.failed = false;
  for (int k = 0; k < w.threads; ++k) {
    const int i = w.config.order == Order::reverse ? w.threads - 1 - k : k;
    const auto u = static_cast<unsigned>(i);
    Fiber& fiber = w.fibers[u];
    fiber.thread_index = {u % w.block.x, u / w.block.x % w.block.y, u / w.block.x / w.block.y};
    fiber.block_index = w.block_index;
    fiber.block_dim = w.block;
    fiber.grid_dim = w.grid;
    fiber.linear = i;
    fiber.lane = i % 32;
    fiber.warp = i / 32;
    fiber.done = false;
    fiber.waiting_for = nullptr;
    fiber.copies.clear();
    fiber.copy_groups.clear();
    if (!fiber.started) {
      prepare_stack(fiber.stack, entry);
      fiber.started = true;
    }
    make_ready(i);
  }
}

void fail(const char* format, ...) {
  char text[4096];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (!in_kernel()) throw KernelError(text);
  Fiber* const fiber = self();
  const uint3 b = fiber->block_index, t = fiber->thread_index;
  char where[128];
  std::snprintf(where, sizeof where, "block (%u,%u,%u) thread (%u,%u,%u): ", b.x, b.y, b.z, t.x, t.y, t.z);
  worker->error = std::string(where) + text;
  worker->failed = true;
  jump(fiber, &worker->host);
  __builtin_unreachable();
}

}  // namespace clx::emulator
