#include "runtime/staging.h"

#include <type_traits>

#include "runtime/capture.h"
#include "runtime/check.h"
#include "runtime/dispatch.h"

namespace clx {

Tensor Staging::send(const Shape& shape, DType dtype, const std::function<void(void* to)>& write) {
  CLX_CHECK(!current_capture(device_), "staging: expected to be called outside a capture, got a capture");
  Tensor y(shape, device_, dtype);
  if (y.bytes() == 0) return y;
  on(device_, [&](const auto& backend) {
    void* const to = y.mutable_view().data;
    if constexpr (std::is_same_v<std::decay_t<decltype(backend)>, Cpu>) {
      write(to);
    } else {
      Buffer& buffer = buffers_[next_];
      next_ = (next_ + 1) % buffers_.size();
      if (buffer.bytes < y.bytes()) {
        buffer.memory.reset();
        buffer.memory = kernels::make_staging_buffer(backend, y.bytes());
        buffer.bytes = y.bytes();
      }
      write(buffer.memory->open());
      buffer.memory->send(y.bytes(), to);
    }
  });
  return y;
}

}  // namespace clx
