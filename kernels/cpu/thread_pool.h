// A few threads that wait for a job, do it together with the caller, and wait again.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace clx::kernels {

/// The team of parallel_for where oneDNN brings no OpenMP team to share.
class ThreadPool {
 public:
  using Job = void (*)(void* data);

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Calls job(data) once on each of `count` threads, the caller among them, and waits for all. A pool
  /// that is busy with another thread's job lets the caller do this one alone. `job` must not throw.
  void run(int count, Job job, void* data);

 private:
  void work(int index);

  std::mutex callers_;  // held by the thread whose job runs
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  Job job_ = nullptr;
  void* data_ = nullptr;
  int wanted_ = 0;      // workers that take part in the current job
  int running_ = 0;     // of these, still at it
  unsigned round_ = 0;  // counts jobs
  bool stopping_ = false;
};

}  // namespace clx::kernels
