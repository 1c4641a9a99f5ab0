// A Cpu tag with scratch memory of its own.
#pragma once

#include "kernels/memory.h"
#include "kernels/workspace.h"

namespace clx::test {

class ScratchCpu {
 public:
  /// The tag, its scratch memory reused from the start.
  Cpu operator()() {
    scratch_.reset();
    return {&scratch_};
  }

 private:
  Workspace scratch_{[](std::size_t bytes) { return kernels::allocate(Cpu{}, bytes); },
                     [](void* p) { kernels::release(Cpu{}, p); }};
};

}  // namespace clx::test
