// Threads that compute side by side: memory, threads and captured work of their own, and the bits of one
// alone.
#include "runtime/lane.h"

#include <latch>
#include <thread>

#include "runtime/allocator.h"
#include "runtime/graph.h"
#include "runtime/ops/add.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/pool.h"
#include "runtime/ops/relu.h"
#include "runtime/ops/sgd_step.h"
#include "runtime/threads.h"
#include "tests/check_op.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

class LaneTest : public DeviceTest {
 protected:
  static bool has_pools() { return device().kind != DeviceKind::cpu; }

  // A block of a size that no other test uses, and back again.
  static void* touch() {
    void* p = allocate_memory(device(), 777777);
    release_memory(device(), p);
    return p;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, LaneTest, every_device(), device_name);

TEST_P(LaneTest, HasMemoryOfItsOwnUntilItEnds) {
  release_cached_memory(device());
  void* const everybodys = touch();
  void* own = nullptr;
  {
    const Lane lane(device(), 1);
    own = touch();
    EXPECT_EQ(own != everybodys, has_pools());
    EXPECT_EQ(touch(), own) << "its own block is reused";
    std::thread([&] { EXPECT_EQ(touch(), everybodys) << "but by nobody else"; }).join();
  }
  void* const first = allocate_memory(device(), 777777);
  void* const second = allocate_memory(device(), 777777);
  if (has_pools()) {
    EXPECT_TRUE((first == own && second == everybodys) || (first == everybodys && second == own));
  }
  release_memory(device(), first);
  release_memory(device(), second);
}

TEST_P(LaneTest, KeepsTheMemoryOfItsGraphsToItself) {
  if (!has_pools()) return;
  release_cached_memory(device());
  const Lane lane(device(), 1);
  const Tensor x = to_tensor(uniform({100000}, 1), device());
  Tensor kept;
  const auto memory_of_graph = [&] {
    Graph graph(device());
    const void* inside = nullptr;
    graph.capture([&] {
      const Tensor y = relu(x);
      inside = y.view().data;
      kept = add(y, y);
    });
    return inside;
  };
  const void* const inside = memory_of_graph();
  EXPECT_EQ(memory_of_graph(), inside) << "the first graph's memory is the lane's again";
  std::thread([&] { EXPECT_NE(relu(x).view().data, inside); }).join();
}

TEST_P(LaneTest, ReturnsKeptBlocksWhenMemoryIsShort) {
  const Lane lane(device(), 1);
  touch();
  std::thread([] { release_cached_memory(device()); }).join();
  const MemoryStats stats = memory_stats(device());
  EXPECT_EQ(stats.reserved, stats.in_use);
}

TEST_P(LaneTest, TensorsGoInAndOut) {
  const Tensor x = to_tensor(uniform({5, 7}, 1, -1, 1), device());
  Tensor y;
  {
    const Lane lane(device(), 1);
    y = relu(x);
  }
  EXPECT_TRUE(same_bits(add(y, x), add(relu(x), x)));
}

TEST_P(LaneTest, HasThreadsOfItsOwn) {
  const int before = threads();
  {
    const Lane lane(device(), before + 2);
    EXPECT_EQ(threads(), before + 2);
    std::thread([&] { EXPECT_EQ(threads(), before); }).join();
  }
  EXPECT_EQ(threads(), before);
}

TEST_P(LaneTest, IsOneAtATimeAndOutsideACapture) {
  {
    const Lane lane(device(), 1);
    EXPECT_THROW(Lane(device(), 1), Error);
  }
  if (device().kind == DeviceKind::cpu) return;
  Graph graph(device());
  graph.capture([] { EXPECT_THROW(Lane(device(), 1), Error); });
  const Lane again(device(), 1);
}

// Some training steps from the seed's weights on, captured from the second one on if the device can.
std::vector<Tensor> trained(Device device, unsigned seed) {
  const auto parameter = [&](Shape shape, unsigned number) {
    Tensor t = to_tensor(uniform(std::move(shape), 10 * seed + number, -0.5, 0.5), device);
    return t.require_grad();
  };
  std::vector<Tensor> parameters{parameter({4, 3, 3, 2}, 1), parameter({3, 4}, 2), parameter({3}, 3)},
      momentum;
  Step step(device);
  step.set_learning_rate(0.1f);
  Replayed replayed(device, GraphMode::on, [&](const std::vector<Tensor>& batch) {
    const Tensor h = relu(conv2d(batch[0], parameters[0], {.padding = 1}));
    const auto [loss, correct] =
        cross_entropy(linear(global_average_pool(h), parameters[1], parameters[2]), batch[1]);
    for (Tensor& p : parameters)
      p.clear_grad();
    backward(loss);
    sgd_step(parameters, momentum, step, {.momentum = 0.9f});
    step.advance(6, loss, correct);
    return std::vector<Tensor>{};
  });
  for (unsigned i = 0; i < 8; ++i)
    replayed({to_tensor(uniform({6, 5, 4, 2}, 100 * seed + i, -1, 1, DType::bf16), device, DType::bf16),
              Tensor::from_host({6}, std::vector<std::int32_t>{0, 1, 2, 2, 1, 0}, device)});
  parameters.push_back(step.state());
  return parameters;
}

TEST_P(LaneTest, SeveralTrainAtOnceWithTheBitsOfOneAlone) {
  constexpr unsigned kLanes = 4;
  std::vector<std::vector<Tensor>> alone, together(kLanes);
  for (unsigned seed = 0; seed < kLanes; ++seed)
    alone.push_back(trained(device(), seed));
  std::latch start(kLanes);
  std::vector<std::thread> lanes;
  for (unsigned seed = 0; seed < kLanes; ++seed)
    lanes.emplace_back([&, seed] {
      const Lane lane(device(), 2);
      start.arrive_and_wait();
      together[seed] = trained(device(), seed);
    });
  for (std::thread& lane : lanes)
    lane.join();
  for (unsigned seed = 0; seed < kLanes; ++seed)
    for (std::size_t i = 0; i < alone[seed].size(); ++i)
      EXPECT_TRUE(same_bits(together[seed][i], alone[seed][i])) << "seed " << seed << ", tensor " << i;
  EXPECT_FALSE(same_bits(alone[0][0], alone[1][0]));
}

}  // namespace
}  // namespace clx::tests
