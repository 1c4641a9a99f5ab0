#include "kernels/cpu/parallel.h"

#include <atomic>
#include <cstdlib>
#include <dlfcn.h>
#include <exception>
#include <mutex>
#include <thread>

#include "kernels/cpu/thread_pool.h"

namespace clx::kernels {

struct OwnTeam::Team {
  int count;
  Team* outer;
  ThreadPool pool{};
};

namespace {

// A function of a library that may be linked into this process, or null.
using SetThreads = void (*)(int);
SetThreads library_function(const char* name) {
  return reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, name));
}

int default_threads() {
  if (const char* text = std::getenv("CLX_THREADS")) {
    const int count = std::atoi(text);
    if (count >= 1) return count;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count = [] {
    // LAPACK's problems here are small and its callers run in chunks.
    if (const SetThreads set = library_function("openblas_set_num_threads")) set(1);
    return default_threads();
  }();
  return count;
}

thread_local bool serial = false;  // within a chunk
thread_local int slot = 0;
thread_local OwnTeam::Team* own_team = nullptr;

struct Work {
  std::int64_t chunks;
  ChunkFunction f;
  void* data;
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex{};
  std::int64_t failed_chunk = -1;
  std::exception_ptr error{};
};

// What chunks find on their thread while it lives.
class InChunks {
 public:
  explicit InChunks(int team_slot, bool alone = true) : outer_serial_(serial), outer_slot_(slot) {
    serial = alone;
    slot = team_slot;
  }
  ~InChunks() {
    serial = outer_serial_;
    slot = outer_slot_;
  }

 private:
  bool outer_serial_;
  int outer_slot_;
};

void do_chunks(void* p, int team_slot) {
  Work& work = *static_cast<Work*>(p);
  const InChunks here(team_slot);
  // Chunks are taken in order, so when one fails all lower ones are done or will report, too.
  while (!work.failed.load(std::memory_order_relaxed)) {
    const std::int64_t chunk = work.next.fetch_add(1, std::memory_order_relaxed);
    if (chunk >= work.chunks) break;
    try {
      work.f(work.data, chunk);
    } catch (...) {
      const std::lock_guard lock(work.mutex);
      if (!work.error || chunk < work.failed_chunk) {
        work.error = std::current_exception();
        work.failed_chunk = chunk;
      }
      work.failed.store(true, std::memory_order_relaxed);
    }
  }
}

ThreadPool& pool() {
  static ThreadPool everybodys;
  return own_team ? own_team->pool : everybodys;
}

}  // namespace

void set_threads(int count) {
  thread_count().store(std::max(1, count));
}

int threads() {
  return own_team ? own_team->count : thread_count().load(std::memory_order_relaxed);
}

OwnTeam::OwnTeam(int count) : team_(new Team{std::max(1, count), own_team}) {
  own_team = team_.get();
}
OwnTeam::~OwnTeam() {
  own_team = team_->outer;
}

int team_size() {
  return serial ? 1 : threads();
}

int team_slot() {
  return slot;
}

void run_chunks(std::int64_t chunks, ChunkFunction f, void* data) {
  const int count = static_cast<int>(std::min<std::int64_t>(team_size(), chunks));
  if (count > 1) {
    Work work{.chunks = chunks, .f = f, .data = data};
    if (pool().run(count, do_chunks, &work)) {
      if (work.error) std::rethrow_exception(work.error);
      return;
    }
  }
  const InChunks here(0, serial || chunks > 1);  // a single chunk may have a team for its own chunks
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    f(data, chunk);
}

void keep_onednn_on_this_thread() {
  static const SetThreads set = library_function("omp_set_num_threads");
  if (set) set(1);
}

}  // namespace clx::kernels
