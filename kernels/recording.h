// A backend's work, noted instead of done, to be done as often as one likes.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace clx::kernels {

/// Launches, copies and zeros in the order in which they were asked for, with the addresses and numbers that
/// they were given.
class Recording {
 public:
  virtual ~Recording() = default;
};

/// From here on, what this thread asks the backend to do is noted instead of done. Copies from and to the
/// host throw: the host has nothing to wait for.
void begin_recording(const Cuda&);
void begin_recording(const Emulated&);

/// Ends it. Null, or throws what the CUDA runtime says, if something could not be noted.
std::unique_ptr<Recording> end_recording(const Cuda&);
std::unique_ptr<Recording> end_recording(const Emulated&);

/// Does all of it, in stream order.
void repeat(const Cuda&, Recording&);
void repeat(const Emulated&, Recording&);

}  // namespace clx::kernels
