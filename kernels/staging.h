// Host memory that a backend copies from while the host goes on.
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/backend.h"

namespace clx::kernels {

/// A buffer for one copy after the other; on a GPU it is page-locked, so that no copy is staged by the
/// driver.
class StagingBuffer {
 public:
  virtual ~StagingBuffer() = default;
  /// Its memory, to be written. Waits for the last copy out of it, and for nothing else.
  virtual void* open() = 0;
  /// Queues a copy of its first bytes to the backend's memory, in stream order.
  virtual void send(std::size_t bytes, void* to) = 0;
};

std::unique_ptr<StagingBuffer> make_staging_buffer(const Cuda&, std::size_t bytes);
std::unique_ptr<StagingBuffer> make_staging_buffer(const Emulated&, std::size_t bytes);

}  // namespace clx::kernels
