// Tensors out of staged host memory.
#include "runtime/staging.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

#include "runtime/check.h"
#include "runtime/graph.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

class StagingTest : public DeviceTest {
 protected:
  static Tensor send(Staging& staging, const std::vector<std::int32_t>& values) {
    return staging.send({static_cast<std::int64_t>(values.size())}, DType::i32,
                        [&](void* to) { std::ranges::copy(values, static_cast<std::int32_t*>(to)); });
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, StagingTest, every_device(), device_name);

// More than there are buffers, of sizes that outgrow them and shrink again, read only when all are sent.
TEST_P(StagingTest, EveryTensorKeepsWhatWasWrittenForIt) {
  Staging staging(device());
  std::vector<std::vector<std::int32_t>> written;
  std::vector<Tensor> sent;
  for (std::int32_t i = 0; i < 15; ++i) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(i * 37 % 11 * 1000 + i));
    std::iota(values.begin(), values.end(), 100000 * i);
    written.push_back(values);
    sent.push_back(send(staging, values));
  }
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(sent[i].device(), device());
    EXPECT_EQ(sent[i].to_host<std::int32_t>(), written[i]) << i;
  }
}

TEST_P(StagingTest, RefusesToBeCaptured) {
  if (device().kind == DeviceKind::cpu) GTEST_SKIP() << "a CPU captures nothing";
  Staging staging(device());
  Graph graph(device());
  EXPECT_THROW(graph.capture([&] { send(staging, {1, 2}); }), Error);
  EXPECT_EQ(send(staging, {3, 4}).to_host<std::int32_t>(), (std::vector<std::int32_t>{3, 4}));
}

TEST_P(StagingTest, AWriterThatThrowsTakesNothingAlong) {
  Staging staging(device());
  EXPECT_THROW(staging.send({2}, DType::i32, [](void*) { throw Error("no"); }), Error);
  for (std::int32_t i = 0; i < 6; ++i)
    EXPECT_EQ(send(staging, {i, i}).to_host<std::int32_t>(), (std::vector<std::int32_t>{i, i}));
}

}  // namespace
}  // namespace clx::tests
