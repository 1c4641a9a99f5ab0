// A few threads that wait for a job, do it together with the caller, and wait again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace clx::kernels {

class ThreadPool {
 public:
  using Job = void (*)(void* data, int slot);

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Calls job(data, slot) once on each of `count` threads, the caller (slot 0) among them, and waits
  /// for all. Returns false, having done nothing, if another thread's job is running. `job` must not
  /// throw.
  bool run(int count, Job job, void* data);

 private:
  void work(int slot);

  std::mutex callers_;  // held by the thread whose job runs
  std::mutex mutex_;    // guards what follows
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  Job job_ = nullptr;
  void* data_ = nullptr;
  int wanted_ = 0;  // slots of the current job
  bool stopping_ = false;
  std::atomic<unsigned> round_{0};  // counts jobs
  std::atomic<int> running_{0};     // workers still at the current job
};

}  // namespace clx::kernels
