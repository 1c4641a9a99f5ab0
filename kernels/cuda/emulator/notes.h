// What the emulated device is asked to do while a thread records, as CUDA's stream capture.
#pragma once

#include <functional>

namespace clx::emulator {

/// Whether this thread's launches, copies and zeros are noted instead of done.
bool recording();

/// Notes one of them.
void note(std::function<void()> work);

}  // namespace clx::emulator
