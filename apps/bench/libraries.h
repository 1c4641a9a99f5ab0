// NVIDIA's libraries as yardsticks of our kernels.
#pragma once

#include "apps/bench/case.h"

namespace clx::app {

/// Whether rows of the library stand beside ours: on GPUs where it is found. A missing one is noted on
/// stderr.
bool has_cudnn(Device device);
bool has_cublas(Device device);

/// Adds `ours` to `cases`; before it, where the library is there, `theirs` as "<name>/<library>", the row
/// that ours is held against.
void add_row(const char* library, bool there, Case theirs, Case ours, std::vector<Case>* cases);

}  // namespace clx::app
