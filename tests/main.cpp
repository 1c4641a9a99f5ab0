// Runs the tests with guard bands around device memory.
#include <gtest/gtest.h>

#include "runtime/allocator.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  clx::set_memory_guards(true);
  return RUN_ALL_TESTS();
}
