#include "kernels/collective.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

constexpr std::int64_t kGrain = 1 << 15;
constexpr std::int64_t kSlotFloats = ProcessGroup::kSlotBytes / sizeof(float);

void sum_slots(const ProcessGroup& group, std::int64_t begin, std::int64_t end, float* __restrict y) {
  std::memcpy(y + begin, static_cast<const float*>(group.slot_of(0)) + begin,
              sizeof(float) * static_cast<std::size_t>(end - begin));
  for (int rank = 1; rank < group.size(); ++rank) {
    const auto* __restrict x = static_cast<const float*>(group.slot_of(rank));
    for (std::int64_t i = begin; i < end; ++i)
      y[i] += x[i];
  }
}

}  // namespace

void all_reduce(const Cpu&, ProcessGroup& group, std::int64_t count, const float* x, float* y) {
  std::int64_t done = 0;
  do {  // once for a count of 0, so that processes that disagree find out
    const std::int64_t n = std::min(kSlotFloats, count - done);
    auto* slot = static_cast<float*>(group.slot());
    parallel_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
      std::copy(x + done + begin, x + done + end, slot + begin);
    });
    group.exchange("all_reduce", static_cast<std::uint64_t>(count) * sizeof(float));
    parallel_ranges(n, kGrain,
                    [&](std::int64_t begin, std::int64_t end) { sum_slots(group, begin, end, y + done); });
    done += n;
  } while (done < count);
}

void all_gather(const Cpu&, ProcessGroup& group, std::size_t bytes, const void* x, void* y) {
  std::size_t done = 0;
  do {
    const std::size_t n = std::min(ProcessGroup::kSlotBytes, bytes - done);
    if (n) std::memcpy(group.slot(), static_cast<const char*>(x) + done, n);
    group.exchange("all_gather", bytes);
    for (int rank = 0; n && rank < group.size(); ++rank)
      std::memcpy(static_cast<char*>(y) + static_cast<std::size_t>(rank) * bytes + done, group.slot_of(rank),
                  n);
    done += n;
  } while (done < bytes);
}

}  // namespace clx::kernels
