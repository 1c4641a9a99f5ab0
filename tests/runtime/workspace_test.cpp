#include "kernels/workspace.h"

#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <map>

#include "runtime/dispatch.h"

namespace clx::tests {
namespace {

// A workspace and what it asked for.
class Scratch : public testing::Test {
 protected:
  std::map<void*, std::size_t> live_;
  int asked_ = 0;
  Workspace workspace_{[this](std::size_t bytes) {
                         ++asked_;
                         void* p = std::aligned_alloc(256, bytes);
                         live_[p] = bytes;
                         return p;
                       },
                       [this](void* p) {
                         EXPECT_EQ(live_.erase(p), 1u);
                         std::free(p);
                       }};
};

TEST_F(Scratch, GivesDisjointAlignedBuffers) {
  char* a = static_cast<char*>(workspace_.take(100));
  char* b = static_cast<char*>(workspace_.take(1));
  char* c = static_cast<char*>(workspace_.take(0));
  for (const char* p : {a, b, c})
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 256, 0u);
  EXPECT_TRUE(b >= a + 100 || b + 1 <= a);
  EXPECT_NE(b, c);
}

TEST_F(Scratch, KeepsItsAddressAfterWarmUp) {
  const auto op = [&] {
    workspace_.reset();
    void* first = workspace_.take(1000);
    workspace_.take(5000);
    return first;
  };
  op();
  op();
  const int warm = asked_;
  void* address = op();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(op(), address);
  EXPECT_EQ(asked_, warm);
  EXPECT_EQ(live_.size(), 1u) << "one block for all of it";
}

TEST_F(Scratch, KeepsEarlierBuffersOfAnOpThatOutgrowsIt) {
  char* a = static_cast<char*>(workspace_.take(256));
  a[255] = 42;
  for (int i = 0; i < 10; ++i)
    workspace_.take(std::size_t{1} << (8 + i));
  EXPECT_EQ(a[255], 42);
  std::size_t total = 0;
  for (const auto& [p, bytes] : live_)
    total += bytes;
  EXPECT_EQ(workspace_.capacity(), total);
}

TEST(ScratchOfABackend, StartsAfreshWithEveryOp) {
  cpu_backend().workspace(10'000);  // warm-up
  void* first = cpu_backend().workspace(64);
  EXPECT_EQ(cpu_backend().workspace(64), first);
  const Cpu backend = cpu_backend();
  EXPECT_NE(backend.workspace(64), backend.workspace(64)) << "two buffers of one op";
}

}  // namespace
}  // namespace clx::tests
