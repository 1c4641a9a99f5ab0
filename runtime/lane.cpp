#include "runtime/lane.h"

#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "runtime/allocator.h"
#include "runtime/capture.h"
#include "runtime/check.h"
#include "runtime/dispatch.h"

#ifdef CLX_CUDA
#include "kernels/memory.h"
#endif

namespace clx {
namespace {

thread_local std::optional<LanePart> t_lane;

#ifdef CLX_CUDA
// Streams are kept for later lanes: libraries remember the last one that they were given.
class Streams {
 public:
  static Streams& instance() {
    static auto& streams = *new Streams;
    return streams;
  }
  CUstream_st* take(int index) {
    const std::lock_guard lock(mutex_);
    std::vector<CUstream_st*>& idle = idle_[index];
    if (idle.empty()) return kernels::make_cuda_stream(index);
    CUstream_st* stream = idle.back();
    idle.pop_back();
    return stream;
  }
  void give_back(int index, CUstream_st* stream) {
    const std::lock_guard lock(mutex_);
    idle_[index].push_back(stream);
  }

 private:
  std::mutex mutex_;
  std::map<int, std::vector<CUstream_st*>> idle_;
};

CUstream_st* begin_stream(int index) {
  kernels::wait_for_cuda_stream(cuda_stream(index));
  return Streams::instance().take(index);
}

void end_stream(int index, CUstream_st* stream) noexcept {
  try {
    kernels::wait_for_cuda_stream(stream);
    Streams::instance().give_back(index, stream);
  } catch (const std::exception&) {
    // The device failed: whoever asks it next is told, and the stream is not used again.
  }
}
#else
CUstream_st* begin_stream(int) {
  throw_no_cuda();
}
void end_stream(int, CUstream_st*) noexcept {}
#endif

}  // namespace

const LanePart* current_lane(Device device) {
  return t_lane && t_lane->device == device && device.kind != DeviceKind::cpu ? &*t_lane : nullptr;
}

Lane::Lane(Device device, int threads) : team_(threads) {
  CLX_CHECK(!t_lane, "lane: expected one at a time, got another within one");
  CLX_CHECK(!current_capture(), "lane: expected to begin outside a capture, got one within");
  LanePart part{device};
  if (device.kind == DeviceKind::cuda) part.stream = begin_stream(device.index);
  if (device.kind != DeviceKind::cpu) part.pool = make_memory_pool(device, PoolOf::lane);
  t_lane = part;
}

Lane::~Lane() {
  const LanePart part = *t_lane;
  if (part.device.kind == DeviceKind::cuda) end_stream(part.device.index, part.stream);
  t_lane.reset();
  if (part.device.kind != DeviceKind::cpu) end_memory_pool(part.device, part.pool);
}

}  // namespace clx
