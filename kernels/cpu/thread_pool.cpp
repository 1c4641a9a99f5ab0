#include "kernels/cpu/thread_pool.h"

namespace clx::kernels {

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_)
    worker.join();
}

void ThreadPool::run(int count, Job job, void* data) {
  const std::unique_lock caller(callers_, std::try_to_lock);
  if (count <= 1 || !caller) {
    job(data);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(workers_.size()) < count - 1)
      workers_.emplace_back(&ThreadPool::work, this, static_cast<int>(workers_.size()));
    job_ = job;
    data_ = data;
    wanted_ = running_ = count - 1;
    ++round_;
  }
  wake_.notify_all();
  job(data);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return running_ == 0; });
  wanted_ = 0;
}

void ThreadPool::work(int index) {
  unsigned seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || (round_ != seen && index < wanted_); });
    if (stopping_) return;
    seen = round_;
    const Job job = job_;
    void* const data = data_;
    lock.unlock();
    job(data);
    lock.lock();
    if (--running_ == 0) done_.notify_one();
  }
}

}  // namespace clx::kernels
