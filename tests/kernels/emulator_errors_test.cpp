// Kernels that are wrong must be reported. Some are seen in every build; of those that need the race
// detector (CLX_RACE), the other builds see nothing, or only a wrong result.
#include <cmath>
#include <gtest/gtest.h>
#include <string>

#include "kernels/cuda/emulator/config.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/wrong_kernels.cuh"

namespace clx::kernels {
namespace {

constexpr int kFloats = 1024;

class EmulatorErrors : public testing::Test {
 protected:
  void TearDown() override { emulator::set_config(before_); }

  void schedule(emulator::Order order, emulator::Async async, unsigned seed = 1) {
    auto config = before_;
    config.order = order;
    config.async = async;
    config.seed = seed;
    emulator::set_config(config);
  }

  /// What the launch reported; empty if nothing.
  template <class... Parameters, class... Arguments>
  std::string report(
      void (*kernel)(Parameters...), int blocks, int threads, int bytes, Arguments... arguments) {
    try {
      launch(kernel, blocks, threads, static_cast<std::size_t>(bytes), gpu_, arguments...);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "";
  }

  /// Reported with the place of the launch, and this in its text.
  void expect_reported(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "reported: " << text;
    EXPECT_NE(text.find("emulator_errors_test.cpp:"), std::string::npos) << "reported: " << text;
  }

  /// And with the block, the thread and the line of the kernel.
  void expect_found(const std::string& text, const std::string& part) {
    expect_reported(text, part);
    for (const char* place : {"kernel launched at ", "block ", "thread ", "wrong_kernels.cuh:"})
      EXPECT_NE(text.find(place), std::string::npos) << "expected " << place << ", reported: " << text;
  }

  const Gpu gpu_;
  const emulator::Config before_ = emulator::config();
  const DeviceArray<Gpu, float> x_{gpu_, std::vector<float>(kFloats)};
};

#define REQUIRE_RACE_BUILD() \
  if (!emulator::detects_races()) GTEST_SKIP() << "only a build with CLX_RACE=ON can see this one"

#define REQUIRE_HOPPER() \
  if (compute_capability(gpu_) < 90) GTEST_SKIP() << "the layer is that of an older GPU"

TEST_F(EmulatorErrors, DivergentBarrier) {
  expect_found(report(divergent_barrier, 1, 128, 0, x_.data()), "divergent __syncthreads");
}

TEST_F(EmulatorErrors, BarrierOnOnePathOnly) {
  const auto text = report(partial_barrier, 1, 128, 0, x_.data());
  expect_reported(text, "__syncthreads");
  expect_reported(text, "exit");
  expect_reported(text, "wrong_kernels.cuh:");
}

TEST_F(EmulatorErrors, ReturnBeforeABarrier) {
  expect_reported(report(early_return, 1, 128, 0, x_.data(), 100), "exit");
}

TEST_F(EmulatorErrors, ErrorNamesBlockThreadAndLine) {
  expect_found(report(shuffle_outside_mask, 1, 32, 0, x_.data()), "block (0,0,0) thread (");
}

TEST_F(EmulatorErrors, MissingBarrierBetweenWriteAndRead) {
  if (emulator::detects_races()) {
    expect_found(report(missing_barrier, 1, 128, 0, x_.data()), "race");
    return;
  }
  report(missing_barrier, 1, 128, 0, x_.data());
  const auto y = x_.to_host();
  bool wrong = false;
  for (int t = 0; t < 128; ++t)
    wrong = wrong || y[std::size_t(t)] != float(127 - t);
  EXPECT_TRUE(wrong) << "threads run one after another, so the first reads what the last has not written";
}

TEST_F(EmulatorErrors, MissingBarrierBeforeASharedValueIsReused) {
  if (emulator::detects_races()) {
    expect_reported(report(missing_second_barrier, 1, 128, 0, x_.data()), "race");
    return;
  }
  int wrong = 0;
  for (unsigned seed = 1; seed <= 5; ++seed) {
    schedule(emulator::Order::random, emulator::Async::late, seed);
    report(missing_second_barrier, 1, 128, 0, x_.data());
    const auto y = x_.to_host();
    for (int t = 0; t < 128; ++t)
      if (y[std::size_t(t)] != 6.0f) {
        ++wrong;
        break;
      }
  }
  EXPECT_GE(wrong, 3) << "random priorities let a warp fall behind in most seeds";
}

TEST_F(EmulatorErrors, MissingSyncwarp) {
  REQUIRE_RACE_BUILD();
  expect_reported(report(missing_syncwarp, 1, 128, 0, x_.data()), "race");
}

TEST_F(EmulatorErrors, RaceReportNamesBothLines) {
  REQUIRE_RACE_BUILD();
  const auto text = report(missing_syncwarp, 1, 128, 0, x_.data());
  const auto first = text.find("this access: wrong_kernels.cuh:");
  EXPECT_NE(first, std::string::npos) << text;
  EXPECT_NE(text.find("other access: wrong_kernels.cuh:", first), std::string::npos) << text;
}

TEST_F(EmulatorErrors, LanesMissingFromAShuffle) {
  expect_reported(report(half_warp_shuffle, 1, 32, 0, x_.data()), "warp collective");
}

TEST_F(EmulatorErrors, ShuffleFromALaneOutsideTheMask) {
  expect_reported(report(shuffle_outside_mask, 1, 32, 0, x_.data()), "outside the mask");
}

TEST_F(EmulatorErrors, LaneOutsideItsOwnMask) {
  expect_reported(report(lane_outside_its_mask, 1, 32, 0, x_.data()), "outside its mask");
}

TEST_F(EmulatorErrors, WarpInstructionOnTwoPaths) {
  expect_reported(report(mma_on_two_paths, 1, 32, 0, x_.data()), "divergent warp collective");
}

TEST_F(EmulatorErrors, UninitialisedSharedMemoryIsNaN) {
  const auto text = report(uninitialised_shared, 1, 128, 0, x_.data());
  if (emulator::detects_races()) expect_reported(text, "uninitialised read");
  EXPECT_TRUE(std::isnan(x_.to_host()[5]));
}

TEST_F(EmulatorErrors, UninitialisedGlobalMemoryIsNaN) {
  const DeviceArray<Gpu, float> never_written(gpu_, 128);
  const auto text = report(uninitialised_global, 1, 128, 0, x_.data(), never_written.data());
  if (emulator::detects_races()) expect_reported(text, "uninitialised read");
  EXPECT_TRUE(std::isnan(x_.to_host()[5]));
}

// AddressSanitizer ends the program at the first bad access; elsewhere red zones and the detector report it.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#define EXPECT_BAD_ACCESS(call, text) EXPECT_DEATH(call, "AddressSanitizer|runtime error")
#else
constexpr bool kAddressSanitizer = false;
#define EXPECT_BAD_ACCESS(call, text)                                               \
  emulator::detects_races() || emulator::runs_compiled() ? expect_found(call, text) \
                                                         : expect_reported(call, text)
#endif

TEST_F(EmulatorErrors, WritePastAStaticSharedArray) {
  EXPECT_BAD_ACCESS(report(past_static_shared, 1, 128, 0, x_.data(), 3), "shared");
}

TEST_F(EmulatorErrors, WritePastDynamicSharedMemory) {
  EXPECT_BAD_ACCESS(report(past_dynamic_shared, 1, 128, 512, x_.data()), "shared");
}

TEST_F(EmulatorErrors, WritePastGlobalMemory) {
  const DeviceArray<Gpu, float> y(gpu_, 100);
  if (emulator::runs_compiled()) {
    const auto text = report(past_global, 1, 128, 0, y.data(), 100);
    expect_found(text, "4 bytes past the end of an allocation of 400 bytes");
    return;
  }
  if (!kAddressSanitizer) GTEST_SKIP() << "only AddressSanitizer and compiled kernels can see this one";
  EXPECT_DEATH(report(past_global, 1, 128, 0, y.data(), 100), "AddressSanitizer");
}

// The source layer touches the guard before the allocation, which ends the program in every build.
TEST_F(EmulatorErrors, MissingPaddingCheck) {
  const DeviceArray<Gpu, float> y(gpu_, 128);
  const float* const x = x_;
  if (emulator::runs_compiled())
    expect_found(report(missing_padding_check, 1, 128, 0, x, y.data()), "4 bytes before an allocation");
  else
    EXPECT_DEATH(report(missing_padding_check, 1, 128, 0, x, y.data()), "");
}

TEST_F(EmulatorErrors, WrongSwizzle) {
  std::vector<std::uint16_t> values(32 * 32);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = std::uint16_t(i);
  const DeviceArray<Gpu, std::uint16_t> from(gpu_, values);
  const DeviceArray<Gpu, std::uint32_t> to(gpu_, 128);
  const std::uint16_t* const x = from;
  for (const int shift : {0, 1}) {
    int wrong = 0;
    EXPECT_EQ(report(wrong_swizzle, 1, 32, 0, x, shift, to.data()), "");
    const auto y = to.to_host();
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t first = i / 4 * 32 + i % 4 * 2;  // of the row's first chunk
      const bool right = y[i] == (values[first] | std::uint32_t(values[first + 1]) << 16);
      wrong += !right;
    }
    EXPECT_EQ(wrong, shift == 0 ? 0 : 96) << "three of four rows have another permutation";
  }
}

TEST_F(EmulatorErrors, SplitSumInTheOrderOfItsBlocks) {
  std::vector<float> sums;
  for (const auto order : {emulator::Order::forward, emulator::Order::reverse}) {
    schedule(order, emulator::Async::late);
    const DeviceArray<Gpu, float> sum(gpu_, std::vector<float>{0.0f});
    EXPECT_EQ(report(split_sum_in_any_order, 3, 32, 0, sum.data()), "");
    sums.push_back(sum.to_host()[0]);
  }
  EXPECT_NE(sums[0], sums[1]) << "the same launch gives other bits when its blocks come in another order";
}

TEST_F(EmulatorErrors, MisalignedAtomic) {
  expect_reported(report(misaligned_atomic, 1, 32, 0, x_.data()), "misaligned");
}

TEST_F(EmulatorErrors, BlocksWriteTheSameElement) {
  REQUIRE_RACE_BUILD();
  expect_reported(report(blocks_race, 4, 128, 0, x_.data()), "race between blocks");
}

TEST_F(EmulatorErrors, PlainAccessBesideAtomics) {
  REQUIRE_RACE_BUILD();
  expect_reported(report(plain_beside_atomic, 4, 128, 0, x_.data()), "race");
}

TEST_F(EmulatorErrors, MissingCpAsyncWait) {
  expect_found(report(missing_cp_async_wait, 1, 128, 0, x_.data()), "cp.async");
}

TEST_F(EmulatorErrors, MissingBarrierAfterCpAsyncWait) {
  const DeviceArray<Gpu, float> from(gpu_, std::vector<float>(512, 1.0f));
  const auto text = report(missing_barrier_after_wait, 1, 128, 0, static_cast<const float*>(from), x_.data());
  if (emulator::detects_races()) {
    expect_reported(text, "race");
    return;
  }
  schedule(emulator::Order::forward, emulator::Async::late);
  report(missing_barrier_after_wait, 1, 128, 0, static_cast<const float*>(from), x_.data());
  EXPECT_TRUE(std::isnan(x_.to_host()[0])) << "the neighbour's copy has not happened";
}

TEST_F(EmulatorErrors, MisalignedCpAsync) {
  expect_reported(report(misaligned_cp_async, 1, 128, 0, x_.data()), "misaligned");
}

TEST_F(EmulatorErrors, LdmatrixPastItsArray) {
  expect_reported(report(ldmatrix_past_its_array, 1, 32, 0, x_.data()), "ldmatrix");
}

TEST_F(EmulatorErrors, NamedBarrierWithUnequalCounts) {
  schedule(emulator::Order::forward, emulator::Async::late);  // in reverse it is a deadlock, as on a device
  expect_reported(report(unequal_barrier_counts, 1, 128, 0, x_.data()), "used with counts");
}

TEST_F(EmulatorErrors, MbarrierPhaseThatNeverEnds) {
  REQUIRE_HOPPER();
  const auto text = report(waits_for_a_phase_that_never_ends, 1, 32, 0, x_.data());
  expect_reported(text, "deadlock");
  expect_reported(text, "32 thread(s), the first is 0: mbarrier wait at");
}

TEST_F(EmulatorErrors, MbarrierBeforeItsInit) {
  REQUIRE_HOPPER();
  expect_reported(report(uses_an_mbarrier_before_its_init, 1, 32, 0, x_.data()), "not initialised");
}

TEST_F(EmulatorErrors, MissingProxyFence) {
  REQUIRE_HOPPER();
  REQUIRE_RACE_BUILD();
  expect_reported(report(missing_proxy_fence, 1, 128, 2 * 8192, x_.data()), "missing fence.proxy.async");
}

TEST_F(EmulatorErrors, AccumulatorsHoldNaNBeforeTheWait) {
  REQUIRE_HOPPER();
  schedule(emulator::Order::forward, emulator::Async::late);
  const auto text = report(missing_wgmma_wait, 1, 128, 2 * 8192, x_.data());
  if (emulator::detects_races()) expect_found(text, "accumulators of a wgmma in flight");
  EXPECT_TRUE(std::isnan(x_.to_host()[0]));
}

TEST_F(EmulatorErrors, WgmmaWaitForTooFewGroups) {
  REQUIRE_HOPPER();
  schedule(emulator::Order::forward, emulator::Async::late);
  const auto text = report(wgmma_wait_for_too_few, 1, 128, 2 * 8192, x_.data());
  if (emulator::detects_races()) expect_found(text, "accumulators of a wgmma in flight (128 times)");
  EXPECT_EQ(x_.to_host()[0], 0.0f) << "the first group is waited for";
  EXPECT_TRUE(std::isnan(x_.to_host()[128])) << "the second is not";
}

TEST_F(EmulatorErrors, MoreSharedMemoryThanABlockHas) {
  expect_reported(report(too_much_shared, 1, 128, 0, x_.data()), "shared memory, more than");
  expect_reported(report(blocks_race, 1, 128, 300000, x_.data()), "dynamic shared memory");
}

// A GPU refuses such a launch; with more dynamic memory `launch` asks for leave.
TEST_F(EmulatorErrors, StaticAndDynamicSharedMemoryBeyondWhatABlockHasUnasked) {
  expect_reported(report(much_static_shared, 1, 128, 30000, x_.data()), "the launch does not ask for them");
  EXPECT_EQ(report(much_static_shared, 1, 128, 28000, x_.data()), "");
  EXPECT_EQ(report(much_static_shared, 1, 128, 40000, x_.data()), "");
}

TEST_F(EmulatorErrors, LaunchWithAnImpossibleShape) {
  expect_reported(report(blocks_race, 1, 1025, 0, x_.data()), "threads");
  expect_reported(report(blocks_race, 1, 0, 0, x_.data()), "threads");
  expect_reported(report(blocks_race, 0, 128, 0, x_.data()), "blocks");
}

TEST_F(EmulatorErrors, ExceptionInAKernel) {
  if (emulator::runs_compiled()) GTEST_SKIP() << "nvcc does not compile it";
  expect_reported(report(throws, 1, 32, 0, x_.data()), "no exceptions on a device");
}

TEST_F(EmulatorErrors, TheLaunchAfterAnErrorIsClean) {
  report(divergent_barrier, 1, 128, 0, x_.data());
  EXPECT_EQ(report(blocks_race, 1, 128, 0, x_.data()), "");
  EXPECT_EQ(x_.to_host()[127], 0.0f);
}

TEST_F(EmulatorErrors, PoliteSpinIsRight) {
  const DeviceArray<Gpu, int> flag(gpu_, std::vector<int>(1));
  EXPECT_EQ(report(polite_spin, 1, 128, 0, static_cast<volatile int*>(flag.data()), x_.data()), "");
}

}  // namespace
}  // namespace clx::kernels
