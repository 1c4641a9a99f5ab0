#include "runtime/threads.h"

#include "kernels/threads.h"
#include "runtime/check.h"

namespace clx {

void set_threads(int count) {
  CLX_CHECK(count >= 1, "threads: expected at least 1, got ", count);
  kernels::set_threads(count);
}

int threads() {
  return kernels::threads();
}

}  // namespace clx
