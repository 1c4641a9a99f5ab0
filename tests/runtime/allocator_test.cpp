#include "runtime/allocator.h"

#include <cstring>
#include <latch>
#include <thread>

#include "kernels/memory.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/batchnorm.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/pool.h"
#include "runtime/ops/sgd_step.h"
#include "tests/check_op.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

class Allocator : public DeviceTest {
 protected:
  // Writes one byte at `offset` from the start of a tensor of 100 bytes, then frees it.
  static void write_outside(std::ptrdiff_t offset) {
    Tensor t = Tensor::zeros({100}, device(), DType::u8);
    const std::uint8_t byte = 0;
    auto* p = static_cast<char*>(t.mutable_view().data);
    on(device(), [&](const auto& backend) { kernels::copy_from_host(backend, 1, &byte, p + offset); });
  }
};
class AllocatorDeathTest : public Allocator {
 protected:
  void SetUp() override {
    Allocator::SetUp();
    testing::FLAGS_gtest_death_test_style = "threadsafe";  // the child starts anew: it may use a GPU
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Allocator, every_device(), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, AllocatorDeathTest, every_device(), device_name);

TEST_P(AllocatorDeathTest, GuardsDetectAWritePastTheEnd) {
  EXPECT_DEATH(write_outside(100), "block of 100 bytes was written 1 bytes past its end");
  EXPECT_DEATH(write_outside(355), "block of 100 bytes was written 256 bytes past its end");
}

TEST_P(AllocatorDeathTest, GuardsDetectAWriteBeforeTheStart) {
  EXPECT_DEATH(write_outside(-1), "block of 100 bytes was written 1 bytes before its start");
}

TEST_P(Allocator, GuardsAllowEveryWriteInside) {
  write_outside(0);
  write_outside(99);
}

TEST_P(Allocator, AlignsTo256Bytes) {
  for (const std::size_t bytes : {0, 1, 100, 4096, 1 << 21}) {
    void* p = allocate_memory(device(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 256, 0u) << bytes << " bytes";
    release_memory(device(), p);
  }
}

TEST_P(Allocator, KeepsFreedBlocksForReuse) {
  void* first = allocate_memory(device(), 12345);
  release_memory(device(), first);
  const MemoryStats before = memory_stats(device());
  void* second = allocate_memory(device(), 12300);
  EXPECT_EQ(second, first) << "about the same size, the same block";
  EXPECT_EQ(memory_stats(device()).system_calls, before.system_calls);
  EXPECT_EQ(memory_stats(device()).reserved, before.reserved);
  EXPECT_GE(memory_stats(device()).in_use, before.in_use + 12300);
  release_memory(device(), second);
  EXPECT_EQ(memory_stats(device()).in_use, before.in_use);
}

TEST_P(Allocator, KnowsThePeak) {
  const std::size_t in_use = memory_stats(device()).in_use;
  release_memory(device(), allocate_memory(device(), 1 << 20));
  const MemoryStats stats = memory_stats(device());
  EXPECT_EQ(stats.in_use, in_use);
  EXPECT_GE(stats.peak, in_use + (1 << 20));
  EXPECT_GE(stats.reserved, in_use + (1 << 20));
  reset_memory_peak(device());
  EXPECT_EQ(memory_stats(device()).peak, in_use);
}

TEST_P(Allocator, ReturnsKeptBlocksWhenAsked) {
  release_memory(device(), allocate_memory(device(), 1 << 20));
  release_cached_memory(device());
  const MemoryStats stats = memory_stats(device());
  EXPECT_EQ(stats.reserved, stats.in_use);
  void* p = allocate_memory(device(), 1 << 20);
  EXPECT_EQ(memory_stats(device()).system_calls, stats.system_calls + 1);
  release_memory(device(), p);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they end the program instead
TEST_P(Allocator, SaysHowMuchMemoryIsMissing) {
  const Tensor other = Tensor::zeros({3 << 20}, device());  // 12 MiB
  release_memory(device(), allocate_memory(device(), 1 << 22));
  try {
    allocate_memory(device(), (std::size_t{1} << 56) - 4096);
    FAIL() << "expected an error";
  } catch (const OutOfMemory& e) {
    const std::string text = e.what();
    EXPECT_EQ(text.find(concat("memory of ", device(), ": expected 67108864.00 GiB more beside the ")), 0u)
        << text;
    EXPECT_NE(text.find(" of other tensors, got "), std::string::npos) << text;
  }
  const MemoryStats stats = memory_stats(device());
  EXPECT_EQ(stats.reserved, stats.in_use) << "all that was kept has been given back before";
  EXPECT_EQ(other.to_host(), std::vector<float>(3 << 20)) << "and nothing is lost";
}
#endif

TEST_P(Allocator, ReusesBlocksThatAnotherThreadFreed) {
  release_cached_memory(device());
  void* first = nullptr;
  std::thread([&] { first = allocate_memory(device(), 5000); }).join();
  std::thread([&] { release_memory(device(), first); }).join();
  void* second = allocate_memory(device(), 5000);
  EXPECT_EQ(second, first);
  release_memory(device(), second);
}

TEST_P(Allocator, GivesManyThreadsDisjointBlocks) {
  constexpr int kThreads = 4, kRounds = 50;
  std::vector<std::thread> threads;
  std::vector<int> errors(kThreads);
  std::latch start(kThreads);
  for (int id = 0; id < kThreads; ++id)
    threads.emplace_back([&, id] {
      start.arrive_and_wait();
      for (int round = 0; round < kRounds; ++round) {
        std::vector<Tensor> tensors;
        for (int i = 0; i < 4; ++i)
          tensors.push_back(Tensor::full({64 * (i + 1)}, static_cast<float>(id), device()));
        for (const Tensor& t : tensors)
          for (const float value : t.to_host())
            errors[static_cast<std::size_t>(id)] += value != static_cast<float>(id);
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(errors, std::vector<int>(kThreads, 0));
}

TEST_P(Allocator, AsksTheSystemForNothingAfterWarmUp) {
  const auto parameter = [](Shape shape, unsigned seed) {
    Tensor t = to_tensor(uniform(std::move(shape), seed, -0.3, 0.3), device());
    return t.require_grad();
  };
  std::vector<Tensor> theta{parameter({4, 3, 3, 3}, 1), parameter({4}, 2), parameter({4}, 3),
                            parameter({5, 4}, 4), parameter({5}, 5)};
  std::vector<Tensor> buffers;
  Tensor mean = Tensor::zeros({4}, device()), var = Tensor::full({4}, 1, device());
  const Tensor x = to_tensor(uniform({2, 6, 6, 3}, 6), device());
  const Tensor labels = Tensor::from_host({2}, std::vector<std::int32_t>{1, 4}, device());
  Step step(device());
  step.set_learning_rate(0.05f);
  const auto train = [&] {
    for (Tensor& t : theta)
      t.clear_grad();
    Tensor h = conv2d(x, theta[0], {.padding = 1});
    h = batchnorm(h, theta[1], theta[2], mean, var, {.training = true, .relu = true});
    h = global_average_pool(max_pool(h, {}));
    const auto [loss, correct] = cross_entropy(linear(h, theta[3], theta[4]), labels);
    backward(loss);
    sgd_step(theta, buffers, step, {.momentum = 0.9f});
    step.advance(2, loss, correct);
    return loss.item();
  };
  const float first = train();
  train();
  train();
  const auto warm = memory_stats(device()).system_calls;
  const std::size_t in_use = memory_stats(device()).in_use;
  float last = first;
  for (int i = 0; i < 5; ++i)
    last = train();
  EXPECT_EQ(memory_stats(device()).system_calls, warm);
  EXPECT_EQ(memory_stats(device()).in_use, in_use) << "nothing is kept from step to step";
  EXPECT_LT(last, first) << "the two images are learned";
}

}  // namespace
}  // namespace clx::tests
