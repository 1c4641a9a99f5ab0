// The state of a running block, shared by the scheduler, the barriers, the instructions and the race
// detector. One Worker per host thread that runs blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/emulator/config.h"
#include "kernels/cuda/emulator/fiber.h"
#include "kernels/cuda/emulator/thread.h"

namespace clx::emulator {

constexpr int kMaxThreads = 1024, kMaxBarriers = 16;
constexpr std::uint32_t kSharedWindow = 1024;      // address of the first byte of shared memory, as on sm_90
constexpr std::size_t kSharedLimit = 227 * 1024;   // per block of sm_90, with leave
constexpr std::size_t kSharedUnasked = 48 * 1024;  // without
constexpr std::size_t kArenaBytes = 512 * 1024;    // more than the limit: room for the red zones
constexpr std::size_t kRedZone = 64;               // after each array

/// A vector clock at the issue of an asynchronous operation; null outside race builds.
using Clock = std::shared_ptr<const std::vector<std::uint32_t>>;

/// One cp.async.
struct AsyncCopy {
  void* to;
  const void* from;
  std::uint32_t bytes, source_bytes;
  bool done;
  Site site;
  const void* pc;
  Clock issued;
};

struct Fiber : ThreadContext {
  Stack stack;
  bool started = false, done = true;
  const char* waiting_for = nullptr;
  Site site;
  std::vector<AsyncCopy> copies;
  std::vector<std::size_t> copy_groups;  // ends of the committed groups in `copies`
};

struct Barrier {
  bool used = false;
  int arrived = 0, expected = 0, votes = 0, result = 0;
  Site site;
  std::vector<std::uint16_t> waiting, members;
};

struct Collective {
  std::uint32_t mask = 0, arrived = 0;
  WarpFunction function = nullptr;
  bool orders_memory = false;
  Site site;
  void* lanes[32];
};

struct Warp {
  Collective collectives[4];
  std::uint32_t exist = 0, exited = 0;
};

/// Accumulators set aside between the issue of wgmma and its wait.
struct Accumulators {
  float* registers[128];
  std::vector<float> values;
  int users = 0, n = 0;
};

struct Wgmma {
  Accumulators* accumulators = nullptr;
  std::uint64_t a = 0, b = 0;
  int n = 0, lead = 0;
  bool accumulate = false, transpose_a = false, transpose_b = false;
  Site site;
  const void* pc = nullptr;
  Clock issued;
};

struct WarpGroup {
  int arrived = 0;
  GroupFunction function = nullptr;
  Site site;
  void* lanes[128];
  std::vector<Wgmma> issued;
  std::vector<std::size_t> groups;  // ends of the committed groups in `issued`
  std::vector<std::unique_ptr<Accumulators>> accumulators;
};

struct Mbarrier {
  std::uint32_t count = 0, pending = 0, phase = 0;
  std::int64_t bytes = 0;
  std::vector<std::uint16_t> waiting;
  std::vector<std::uint32_t> clock;
};

struct SharedArray {
  const void* key;
  unsigned char* data;
  std::size_t bytes;
};

struct Worker {
  Fiber host;  // the host thread's own stack, from which a block is started
  std::vector<Fiber> fibers;
  int threads = 0, live = 0;
  dim3 grid, block;
  uint3 block_index{};
  std::uint32_t block_number = 0, launch_number = 0;
  void (*body)(void*) = nullptr;
  void* context = nullptr;
  Config config;

  // Runnable threads: a ring in fixed orders, a heap of key << 16 | thread in random order.
  std::uint16_t ring[2048];
  std::uint32_t ring_head = 0, ring_tail = 0;
  std::vector<std::uint64_t> heap;
  std::uint32_t priority[kMaxThreads];
  int policy = 0;
  bool lazy_async = false;
  std::uint64_t random_state = 1;

  unsigned char* arena = nullptr;
  std::size_t dynamic_bytes = 0, shared_used = 0, shared_payload = 0;
  std::vector<SharedArray> arrays;

  Barrier barriers[kMaxBarriers];
  Warp warps[32];
  WarpGroup warp_groups[8];
  std::map<std::uint32_t, Mbarrier> mbarriers;
  std::vector<std::function<void()>> async;

  std::string error;
  bool failed = false;
};
extern constinit thread_local Worker* worker;

inline Fiber* self() {
  return static_cast<Fiber*>(current);
}
inline bool in_kernel() {
  return worker && current && current != &worker->host;
}

// scheduler.cpp
std::uint64_t random_word(Worker&);
void make_ready(int thread);
/// The current thread waits; returns when it was made ready and chosen.
void wait_for(const char* what, Site);
/// Runs other threads until the current one is chosen again; from the host stack, the whole block.
void schedule();
void yield_in_random_order();
/// Begins the threads of a block in the configured order.
void start_threads(Worker&, void (*entry)());
/// Whether an asynchronous copy should happen at its issue.
bool async_now();
bool same_place(const Site&, const Site&);

// barrier.cpp
/// What a thread's end means to those who wait for it.
void leave_barriers(Fiber&);

// shared_memory.cpp
void reset_shared(Worker&, std::size_t dynamic_bytes);
/// Throws KernelError if a red zone was written.
void check_red_zones(Worker&);
bool in_shared(const void*);
bool inside_shared_array(const void* p, std::size_t bytes);
/// Fails unless the bytes lie in arrays of this block.
void require_shared(const void* p, std::size_t bytes, const char* what, Site);

}  // namespace clx::emulator
