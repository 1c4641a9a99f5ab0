// Runs a grid: blocks one after another, or on several host threads.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <sys/mman.h>
#include <thread>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/race.h"

namespace clx::emulator {
namespace {

std::mutex launch_mutex;
std::mutex config_mutex;

Config config_from_environment() {
  Config config;
  const auto equals = [](const char* a, const char* b) { return a && !std::strcmp(a, b); };
  const char* const order = std::getenv("CLX_EMU_ORDER");
  const char* const async = std::getenv("CLX_EMU_ASYNC");
  const char* const layer = std::getenv("CLX_EMU_LAYER");
  if (equals(layer, "sm_80"))
    config.layer = Layer::sm_80;
  else if (equals(layer, "sm_90a"))
    config.layer = Layer::sm_90a;
  else if (layer && !equals(layer, "source"))
    throw std::runtime_error("CLX_EMU_LAYER: expected source, sm_80 or sm_90a, got " + std::string(layer));
  if (equals(order, "rev")) config.order = Order::reverse;
  if (equals(order, "rand")) config.order = Order::random;
  if (equals(async, "early")) config.async = Async::early;
  if (equals(async, "rand")) config.async = Async::random;
  config.rough = equals(std::getenv("CLX_EMU_MATH"), "rough");
  if (const char* text = std::getenv("CLX_EMU_SEED")) config.seed = std::strtoull(text, nullptr, 0);
  if (const char* text = std::getenv("CLX_EMU_WORKERS")) config.workers = std::atoi(text);
  if (const char* text = std::getenv("CLX_EMU_PREEMPT")) config.preempt = std::atoi(text);
  return config;
}

Config& configuration() {
  static Config config = config_from_environment();
  return config;
}

// Stacks are an odd number of pages apart and their tops are coloured, so that frames of different
// threads do not compete for the same cache sets. A page below each is left unmapped.
std::unique_ptr<Worker> make_worker() {
  constexpr std::size_t kPage = 4096;
  auto w = std::make_unique<Worker>();
  w->fibers.resize(kMaxThreads);
  w->arena = static_cast<unsigned char*>(std::aligned_alloc(kPage, kArenaBytes));
  const std::size_t stride = stack_bytes() + 2 * kPage;
  void* const memory = mmap(nullptr, stride * kMaxThreads, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!w->arena || memory == MAP_FAILED) throw std::bad_alloc();
  for (std::size_t i = 0; i < kMaxThreads; ++i) {
    char* const base = static_cast<char*>(memory) + stride * i;
    mprotect(base, kPage, PROT_NONE);
    w->fibers[i].stack.base = base + kPage;
    w->fibers[i].stack.bytes = stride - kPage - (i % 16) * 256;
  }
  return w;
}

// A fiber's stack stays where it is from block to block: it loops, so that starting a thread costs
// nothing but a switch.
void thread_entry() {
  entered_stack();
  for (;;) {
    char exception[1024] = "";
    try {
      worker->body(worker->context);
    } catch (const std::exception& e) {
      std::snprintf(exception, sizeof exception, "exception in a kernel: %s", e.what());
    }
    if (exception[0]) fail("%s", exception);
    if (const auto& copies = self()->copies; !copies.empty())
      fail("the thread ends with cp.async copies in flight, the first from %s:%u", copies[0].site.file,
           copies[0].site.line);
    leave_barriers(*self());
    schedule();
  }
}

void run_block(Worker& w, std::uint32_t number) {
  w.block_number = number;
  w.block_index = {number % w.grid.x, number / w.grid.x % w.grid.y, number / w.grid.x / w.grid.y};
  for (int i = 0; i < (w.threads + 31) / 32; ++i) {
    const int lanes = std::min(32, w.threads - i * 32);
    w.warps[i].exist = lanes == 32 ? ~0u : (1u << lanes) - 1;
    w.warps[i].exited = 0;
    for (auto& c : w.warps[i].collectives)
      c.arrived = 0;
  }
  for (auto& b : w.barriers) {
    b.used = false;
    b.arrived = 0;
    b.waiting.clear();
    b.members.clear();
  }
  for (auto& g : w.warp_groups) {
    g.arrived = 0;
    g.issued.clear();
    g.groups.clear();
    g.accumulators.clear();
  }
  w.mbarriers.clear();
  w.async.clear();
  race::begin_block(w);
  reset_shared(w, w.dynamic_bytes);
  start_threads(w, thread_entry);
  schedule();
  if (w.failed) {
    for (auto& fiber : w.fibers)
      fiber.started = false;
    throw KernelError(w.error);
  }
  if (!w.async.empty()) fail("the block ends with asynchronous copies in flight");
  check_red_zones(w);
}

// Workers and their stacks are kept between launches and never destroyed. A fiber that was suspended on
// another host thread must not go on here: compilers may keep the address of a thread_local across a call.
Worker& worker_of_this_thread(std::size_t index) {
  static std::mutex mutex;
  static auto& pool = *new std::vector<std::unique_ptr<Worker>>;
  static auto& owners = *new std::vector<std::thread::id>;
  const std::lock_guard lock(mutex);
  while (pool.size() <= index) {
    pool.push_back(make_worker());
    owners.emplace_back();
  }
  if (owners[index] != std::this_thread::get_id()) {
    owners[index] = std::this_thread::get_id();
    for (auto& fiber : pool[index]->fibers)
      fiber.started = false;
  }
  return *pool[index];
}

struct Grid {
  dim3 grid, block;
  std::size_t dynamic_bytes;
  void (*body)(void*);
  void* context;
  Config config;
  std::uint32_t number;
  std::uint64_t blocks;
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
};

void run_blocks(Grid& g, std::size_t index) {
  Worker& w = worker_of_this_thread(index);
  worker = &w;
  current = &w.host;
  adopt_host_stack(w.host.stack);
  w.grid = g.grid;
  w.block = g.block;
  w.threads = static_cast<int>(g.block.x * g.block.y * g.block.z);
  w.dynamic_bytes = g.dynamic_bytes;
  w.body = g.body;
  w.context = g.context;
  w.config = g.config;
  w.launch_number = g.number;
  try {
    for (std::uint64_t i = g.next++; i < g.blocks; i = g.next++)
      run_block(w, static_cast<std::uint32_t>(g.config.order == Order::reverse ? g.blocks - 1 - i : i));
  } catch (...) {
    for (auto& fiber : w.fibers)
      fiber.started = false;  // they stand in the middle of the kernel
    const std::lock_guard lock(g.mutex);
    if (!g.error) g.error = std::current_exception();
    g.next = g.blocks;
  }
  current = nullptr;
  worker = nullptr;
}

}  // namespace

void check_launch(const std::string& where, dim3 grid, dim3 block, std::size_t dynamic_bytes) {
  const std::uint64_t threads = std::uint64_t(block.x) * block.y * block.z;
  if (threads == 0 || threads > kMaxThreads || block.z > 64)
    fail("%s: block of (%u,%u,%u) threads", where.c_str(), block.x, block.y, block.z);
  const bool empty = grid.x == 0 || grid.y == 0 || grid.z == 0;
  if (empty || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    fail("%s: grid of (%u,%u,%u) blocks", where.c_str(), grid.x, grid.y, grid.z);
  if (dynamic_bytes > kSharedLimit)
    fail("%s: %zu bytes of dynamic shared memory, more than %zu", where.c_str(), dynamic_bytes, kSharedLimit);
}

Config config() {
  const std::lock_guard lock(config_mutex);
  return configuration();
}

void set_config(const Config& config) {
  const std::lock_guard lock(config_mutex);
  configuration() = config;
}

bool detects_races() {
  return race::kOn;
}

bool runs_compiled() {
  return config().layer != Layer::source;
}

int compute_capability() {
  return config().layer == Layer::sm_80 ? 80 : 90;
}

void run_grid(
    Site site, dim3 grid, dim3 block, std::size_t dynamic_bytes, void (*body)(void*), void* context) {
  const std::string where = std::string("kernel launched at ") + site.file + ":" + std::to_string(site.line);
  check_launch(where, grid, block, dynamic_bytes);
  const std::lock_guard lock(launch_mutex);
  static std::uint32_t launches = 0;
  Grid g{grid,
         block,
         dynamic_bytes,
         body,
         context,
         config(),
         ++launches,
         std::uint64_t(grid.x) * grid.y * grid.z,
         {},
         {},
         {}};
  const std::uint64_t wanted = race::kOn ? 1 : static_cast<std::uint64_t>(std::max(1, g.config.workers));
  std::vector<std::thread> helpers;
  for (std::size_t i = 1; i < std::min(wanted, g.blocks); ++i)
    helpers.emplace_back([&g, i] { run_blocks(g, i); });
  run_blocks(g, 0);
  for (auto& helper : helpers)
    helper.join();

  const std::string races = race::take_report();
  try {
    if (g.error) std::rethrow_exception(g.error);
  } catch (const KernelError& e) {
    throw KernelError(where + ": " + e.what() + races);
  }
  if (!races.empty()) throw KernelError(where + ": " + races);
}

}  // namespace clx::emulator
