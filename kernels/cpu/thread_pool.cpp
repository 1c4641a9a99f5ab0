#include "kernels/cpu/thread_pool.h"

#include <chrono>

namespace clx::kernels {
namespace {

// A kernel often follows the last one within microseconds: looking for it that long is cheaper than
// falling asleep and being woken. Longer would take the processor from other programs.
constexpr std::chrono::microseconds kPatience{30};

template <class Condition>
void spin_until(Condition&& condition) {
  const auto start = std::chrono::steady_clock::now();
  while (!condition() && std::chrono::steady_clock::now() - start < kPatience) {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }
}

}  // namespace

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_)
    worker.join();
}

bool ThreadPool::run(int count, Job job, void* data) {
  const std::unique_lock caller(callers_, std::try_to_lock);
  if (!caller) return false;
  {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(workers_.size()) < count - 1)
      workers_.emplace_back(&ThreadPool::work, this, static_cast<int>(workers_.size()) + 1);
    job_ = job;
    data_ = data;
    wanted_ = count;
    running_ = count - 1;
    ++round_;
  }
  wake_.notify_all();
  job(data, 0);
  spin_until([&] { return running_ == 0; });
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return running_ == 0; });
  wanted_ = 0;
  return true;
}

void ThreadPool::work(int slot) {
  unsigned seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || (round_ != seen && slot < wanted_); });
    if (stopping_) return;
    seen = round_;
    const Job job = job_;
    void* const data = data_;
    lock.unlock();
    job(data, slot);
    if (--running_ == 0) {
      const std::lock_guard last(mutex_);
      done_.notify_one();
    }
    spin_until([&] { return round_ != seen; });
    lock.lock();
  }
}

}  // namespace clx::kernels
