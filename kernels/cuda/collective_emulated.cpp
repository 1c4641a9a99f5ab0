// The emulated device's collectives: host memory between processes, sums by the GPU's kernel.
#include "kernels/collective.h"
#include "kernels/cuda/emulator/race.h"

namespace clx::kernels {

void all_gather(const Emulated&, ProcessGroup& group, std::size_t bytes, const void* x, void* y) {
  all_gather(Cpu{}, group, bytes, x, y);
  emulator::race::mark_initialised(y, bytes * static_cast<std::size_t>(group.size()));
}

void all_reduce(const Emulated& backend, ProcessGroup& group, std::int64_t count, const float* x, float* y) {
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(float);
  auto* parts = static_cast<float*>(backend.workspace(bytes * static_cast<std::size_t>(group.size())));
  all_gather(backend, group, bytes, x, parts);
  sum_parts(backend, count, group.size(), parts, y);
}

}  // namespace clx::kernels
