#include "runtime/dispatch.h"

#include <map>
#include <memory>
#include <mutex>

#include "runtime/allocator.h"
#include "runtime/capture.h"
#include "runtime/check.h"
#include "runtime/lane.h"

#ifdef CLX_CUDA
#include "kernels/memory.h"
#endif

namespace clx {
namespace {

std::unique_ptr<Workspace> make_workspace(Device device) {
  return std::make_unique<Workspace>([device](std::size_t bytes) { return allocate_memory(device, bytes); },
                                     [device](void* p) { release_memory(device, p); });
}

// The graph's while the thread captures, else this.
Workspace* afresh(Device device, Workspace* scratch) {
  if (const Capture* capture = current_capture(device)) scratch = capture->scratch;
  scratch->reset();
  return scratch;
}

}  // namespace

Cpu cpu_backend() {
  thread_local const std::unique_ptr<Workspace> scratch = make_workspace(kCpu);
  scratch->reset();
  return {scratch.get()};
}

Emulated emulated_backend() {
  thread_local const std::unique_ptr<Workspace> scratch = make_workspace(kEmulated);
  return {afresh(kEmulated, scratch.get())};
}

#ifdef CLX_CUDA
CUstream_st* cuda_stream(int index) {
  if (const LanePart* lane = current_lane({DeviceKind::cuda, index})) return lane->stream;
  static std::mutex mutex;
  static std::map<int, CUstream_st*> streams;
  const std::lock_guard lock(mutex);
  CUstream_st*& stream = streams[index];
  if (!stream) stream = kernels::make_cuda_stream(index);
  return stream;
}

Cuda cuda_backend(int index) {
  kernels::use_cuda_device(index);
  thread_local std::map<int, std::unique_ptr<Workspace>> scratches;
  std::unique_ptr<Workspace>& scratch = scratches[index];
  const Device device{DeviceKind::cuda, index};
  if (!scratch) scratch = make_workspace(device);
  return {index, cuda_stream(index), afresh(device, scratch.get())};
}
#endif

void throw_no_cuda() {
  throw Error(
      "device: this build has no GPU kernels (nvcc was not found when it was built); use --device cpu");
}

}  // namespace clx
