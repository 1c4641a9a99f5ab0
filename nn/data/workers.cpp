#include "nn/data/workers.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/threads.h"

namespace clx::data {

int worker_count(int workers) {
  return workers > 0 ? workers : threads();
}

void for_each_image(std::int64_t count,
                    int workers,
                    const std::function<void(std::int64_t i, ImageSource::Memory& memory)>& f) {
  std::atomic<std::int64_t> next{0};
  std::atomic<std::int64_t> first_bad{count};
  std::exception_ptr error;
  std::mutex mutex;
  const auto work = [&] {
    ImageSource::Memory memory;
    // Those below the lowest failure so far still run, so that the lowest of all is found.
    for (std::int64_t i = next++; i < first_bad; i = next++) {
      try {
        f(i, memory);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < first_bad) {
          first_bad = i;
          error = std::current_exception();
        }
      }
    }
  };
  std::vector<std::jthread> team;
  for (std::int64_t t = 1; t < std::min<std::int64_t>(worker_count(workers), count); ++t)
    team.emplace_back(work);
  work();
  team.clear();
  if (error) std::rethrow_exception(error);
}

}  // namespace clx::data
