// Guard bands around device memory, in all tests of what allocates it.
#include <gtest/gtest.h>

#include "runtime/allocator.h"

namespace {

class MemoryGuards : public testing::Environment {
  void SetUp() override { clx::set_memory_guards(true); }
};
[[maybe_unused]] auto* const environment = testing::AddGlobalTestEnvironment(new MemoryGuards);

}  // namespace
