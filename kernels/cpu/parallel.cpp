#include "kernels/cpu/parallel.h"

#include <atomic>
#include <cstdlib>
#include <dlfcn.h>
#include <exception>
#include <mutex>
#include <thread>

#include "kernels/cpu/thread_pool.h"

namespace clx::kernels {
namespace {

// Debian's oneDNN runs on libgomp's threads, which keep spinning for milliseconds after each
// primitive. Threads of our own beside them would share the processors with that spinning, so where
// libgomp is loaded our chunks run on its team; elsewhere on a pool of our own.
struct OpenMp {
  using Parallel = void (*)(void (*)(void*), void*, unsigned threads, unsigned flags);
  using SetThreads = void (*)(int);
  Parallel parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  SetThreads set_threads = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
};
const OpenMp& open_mp() {
  static const OpenMp functions;
  return functions;
}

int default_threads() {
  if (const char* text = std::getenv("CLX_THREADS")) {
    const int count = std::atoi(text);
    if (count >= 1) return count;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void limit_blas(int count) {
  using SetThreads = void (*)(int);
  static const auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set) set(count);
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count = default_threads();
  return count;
}

thread_local bool serial = false;  // within a chunk or a SerialScope

// OpenMP's count belongs to the calling thread, so it is told before each use.
void tell_open_mp(int count) {
  if (open_mp().set_threads) open_mp().set_threads(count);
}

// The atomics order every chunk's memory between the threads for readers (and race detectors) that
// cannot see into libgomp.
struct Work {
  std::int64_t chunks;
  ChunkFunction f;
  void* data;
  std::atomic<bool> published{false};
  std::atomic<std::int64_t> next{0};
  std::atomic<int> finished{0};
  std::mutex mutex{};
  std::int64_t failed_chunk = -1;
  std::exception_ptr error{};
  std::atomic<bool> failed{false};
};

void do_chunks(void* p) {
  Work& work = *static_cast<Work*>(p);
  if (!work.published.load(std::memory_order_acquire)) return;
  const bool outer = serial;
  serial = true;
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
  serial = outer;
  work.finished.fetch_add(1, std::memory_order_release);
}

void run_team(int count, void (*job)(void*), void* data) {
  if (open_mp().parallel) {
    open_mp().parallel(job, data, static_cast<unsigned>(count), 0);
  } else {
    static ThreadPool pool;
    pool.run(count, job, data);
  }
}

}  // namespace

void set_threads(int count) {
  thread_count().store(std::max(1, count));
  limit_blas(std::max(1, count));
}

int threads() {
  return thread_count().load(std::memory_order_relaxed);
}

SerialScope::SerialScope() : outer_(serial) {
  serial = true;
}
SerialScope::~SerialScope() {
  serial = outer_;
}

void run_chunks(std::int64_t chunks, ChunkFunction f, void* data) {
  const int count = static_cast<int>(std::min<std::int64_t>(threads(), chunks));
  if (count <= 1 || serial) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
      f(data, chunk);
    return;
  }
  Work work{.chunks = chunks, .f = f, .data = data};
  work.published.store(true, std::memory_order_release);
  run_team(count, do_chunks, &work);
  work.finished.load(std::memory_order_acquire);
  if (work.error) std::rethrow_exception(work.error);
}

int set_library_threads() {
  const int count = serial ? 1 : threads();
  tell_open_mp(count);
  return count;
}

OneLibraryThread::OneLibraryThread() {
  tell_open_mp(1);
}
OneLibraryThread::~OneLibraryThread() {
  set_library_threads();
}

}  // namespace clx::kernels
