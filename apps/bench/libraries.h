// NVIDIA's libraries as yardsticks of our kernels.
#pragma once

#include "runtime/device.h"

namespace clx::app {

/// Whether rows of the library stand beside ours: on GPUs where it is found. A missing one is noted on
/// stderr.
bool has_cudnn(Device device);
bool has_cublas(Device device);

}  // namespace clx::app
