// The host's bytes on their way to a device, while host and device go on.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>

#include "kernels/staging.h"
#include "runtime/tensor.h"

namespace clx {

/// Makes one tensor after the other from what the host writes, without a wait: Tensor::from_host may wait for
/// all that the device has to do before. A few buffers take turns; the host waits only where it is as many
/// copies ahead of the device. For one thread.
class Staging {
 public:
  explicit Staging(Device device) : device_(device) {}

  /// A tensor on the device of what `write` puts into the memory that it is given: as many bytes as the
  /// tensor has. Queued; on a CPU the memory is the tensor's own.
  /// Throws    Error under capture; what `write` throws
  Tensor send(const Shape& shape, DType dtype, const std::function<void(void* to)>& write);

 private:
  struct Buffer {
    std::unique_ptr<kernels::StagingBuffer> memory;
    std::size_t bytes = 0;
  };
  Device device_;
  std::array<Buffer, 4> buffers_;
  std::size_t next_ = 0;
};

}  // namespace clx
