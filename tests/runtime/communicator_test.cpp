// Processes that compute together: what they agree on, and what happens when one is gone.
#include "runtime/communicator.h"

#include <chrono>
#include <cstring>
#include <filesystem>
#include <gmock/gmock.h>
#include <random>
#include <set>

#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/all_gather.h"
#include "runtime/ops/all_reduce.h"
#include "runtime/ops/linear.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/processes.h"

namespace clx::tests {
namespace {

using testing::HasSubstr;

// Values of very different sizes, so that another order of summation gives other bits.
std::vector<float> brought_by(int rank, std::int64_t n) {
  std::mt19937 generator(static_cast<unsigned>(rank) + 1);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = normal(generator) * std::pow(10.0f, static_cast<float>(i % 7));
  return x;
}

std::vector<float> sum_in_rank_order(int size, std::int64_t n) {
  std::vector<float> sum = brought_by(0, n);
  for (int rank = 1; rank < size; ++rank) {
    const std::vector<float> x = brought_by(rank, n);
    for (std::size_t i = 0; i < x.size(); ++i)
      sum[i] += x[i];
  }
  return sum;
}

// The emulator stands for a GPU, of which every process would need its own.
struct Group {
  Device device;
  int size;
};
class Processes : public testing::TestWithParam<Group> {};
INSTANTIATE_TEST_SUITE_P(Groups,
                         Processes,
                         testing::Values(Group{kCpu, 1}, Group{kCpu, 2}, Group{kCpu, 4}, Group{kEmulated, 3}),
                         [](const auto& info) { return concat(info.param.device, info.param.size); });

TEST_P(Processes, SumInRankOrderToTheSameBitsEverywhere) {
  const auto [device, size] = GetParam();
  // One, odd, one past a thread's chunk, and one past what an exchange carries.
  std::vector<std::int64_t> counts{1, 13, 1027, 32769};
  if (device == kCpu) counts.push_back((1 << 18) + 1);
  const auto all = in_processes(size, [&](Communicator& across) {
    std::vector<float> sums;
    for (const std::int64_t n : counts) {
      const Tensor x = Tensor::from_host({n}, brought_by(across.rank(), n), device);
      const std::vector<float> y = all_reduce(x, across).to_host();
      sums.insert(sums.end(), y.begin(), y.end());
    }
    return sums;
  });
  std::vector<float> expected;
  for (const std::int64_t n : counts) {
    const std::vector<float> sum = sum_in_rank_order(size, n);
    expected.insert(expected.end(), sum.begin(), sum.end());
  }
  for (const std::vector<float>& sums : all) {
    ASSERT_EQ(sums.size(), expected.size());
    EXPECT_EQ(std::memcmp(sums.data(), expected.data(), sizeof(float) * sums.size()), 0);
  }
}

TEST_P(Processes, GatherTheRowsOfAllByRank) {
  const auto [device, size] = GetParam();
  const auto all = in_processes(size, [&](Communicator& across) {
    const Tensor x = Tensor::from_host({3, 5}, brought_by(across.rank(), 15), device);
    std::vector<float> rows = all_gather(x, across).to_host();
    // More than one exchange carries; i32 as labels are.
    const std::int64_t many = (1 << 18) + 3;
    const std::vector<std::int32_t> labels(static_cast<std::size_t>(many), across.rank() + 7);
    const std::vector<std::int32_t> gathered =
        all_gather(Tensor::from_host({many}, labels, device), across).to_host<std::int32_t>();
    EXPECT_EQ(gathered.size(), static_cast<std::size_t>(many * size));
    for (int rank = 0; rank < size; ++rank)
      EXPECT_EQ(std::count(gathered.begin() + rank * many, gathered.begin() + (rank + 1) * many, rank + 7),
                many);
    return rows;
  });
  std::vector<float> expected;
  for (int rank = 0; rank < size; ++rank)
    for (const float v : brought_by(rank, 15))
      expected.push_back(v);
  for (const std::vector<float>& rows : all)
    EXPECT_EQ(rows, expected);
}

TEST_P(Processes, GatherViewByViewAndGiveEachItsOwnRowsOfTheGradient) {
  const auto [device, size] = GetParam();
  // Row r of view v in process p is 100·v + 10·p + r; the gradient of row i of the result is i + 1.
  const auto all = in_processes(size, [&](Communicator& across) {
    std::vector<float> mine;
    for (int view = 0; view < 2; ++view)
      for (int row = 0; row < 3; ++row)
        mine.push_back(static_cast<float>(100 * view + 10 * across.rank() + row));
    Tensor x = Tensor::from_host({6, 1}, mine, device);
    x.require_grad();
    const Tensor y = all_gather(x, across, {.views = 2});
    std::vector<float> dy;
    for (int i = 0; i < 6 * across.size(); ++i)
      dy.push_back(static_cast<float>(i + 1));
    std::vector<float> result = y.to_host();
    const std::vector<float> dx = grad(y, {x}, {.dy = Tensor::from_host(y.shape(), dy, device)})[0].to_host();
    result.insert(result.end(), dx.begin(), dx.end());
    return result;
  });
  for (int rank = 0; rank < size; ++rank) {
    std::vector<float> expected;
    for (int view = 0; view < 2; ++view)
      for (int p = 0; p < size; ++p)
        for (int row = 0; row < 3; ++row)
          expected.push_back(static_cast<float>(100 * view + 10 * p + row));
    for (int view = 0; view < 2; ++view)
      for (int row = 0; row < 3; ++row)
        expected.push_back(static_cast<float>(3 * size * view + 3 * rank + row + 1));
    EXPECT_EQ(all[static_cast<std::size_t>(rank)], expected) << "process " << rank;
  }
}

TEST_P(Processes, SumTheGradientsOfAllParameters) {
  const auto [device, size] = GetParam();
  const std::vector<std::int64_t> sizes{1, 70, 64, 257};
  const auto all = in_processes(size, [&](Communicator& across) {
    std::vector<Tensor> parameters;
    for (const std::int64_t n : sizes) {
      parameters.push_back(Tensor::zeros({1, n}, device).require_grad());
      backward(matmul(parameters.back(), Tensor::from_host({n, 1}, brought_by(across.rank(), n), device)));
    }
    parameters.insert(parameters.begin() + 2, Tensor::zeros({5}, device).require_grad());  // has none
    const Tensor before = parameters[1].grad();
    const std::vector<float> kept = before.to_host();
    all_reduce_gradients(parameters, across);
    EXPECT_EQ(before.to_host(), kept) << "gradients are replaced, not changed";
    EXPECT_FALSE(parameters[2].grad().defined());
    std::vector<float> sums;
    for (const Tensor& p : parameters) {
      if (!p.grad().defined()) continue;
      EXPECT_EQ(p.grad().shape(), p.shape());
      EXPECT_FALSE(p.grad().requires_grad());
      const std::vector<float> g = p.grad().to_host();
      sums.insert(sums.end(), g.begin(), g.end());
    }
    return sums;
  });
  std::vector<float> expected;
  for (const std::int64_t n : sizes)
    for (const float v : sum_in_rank_order(size, n))
      expected.push_back(v);
  for (const std::vector<float>& sums : all)
    EXPECT_EQ(sums, expected);
}

TEST(Communicator, AgreesOnAQuestion) {
  for (const auto& answers : in_processes(3, [](Communicator& across) {
         return std::vector<float>{across.any(false) ? 1.0f : 0.0f,
                                   across.any(across.rank() == 2) ? 1.0f : 0.0f,
                                   across.any(false) ? 1.0f : 0.0f, across.any(true) ? 1.0f : 0.0f};
       }))
    EXPECT_EQ(answers, (std::vector<float>{0, 1, 0, 1}));
}

TEST(Communicator, SharesRowsEvenly) {
  in_processes(3, [](Communicator& across) {
    const auto [begin, end] = across.share(12);
    EXPECT_EQ(begin, 4 * across.rank());
    EXPECT_EQ(end, 4 * across.rank() + 4);
    EXPECT_THROW(across.share(13), Error);
    return std::vector<float>{};
  });
}

// The text of what `f` throws.
template <class Exception, class F>
std::string text_thrown_by(F&& f) {
  try {
    f();
  } catch (const Exception& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another exception: ") + error.what();
  }
  return "nothing was thrown";
}

TEST(Communicator, RefusesDifferentSizesAndDifferentOps) {
  in_processes(2, [](Communicator& across) {
    const std::int64_t n = across.rank() == 0 ? 3 : 4;
    EXPECT_THAT(text_thrown_by<std::runtime_error>([&] { all_reduce(Tensor::zeros({n}), across); }),
                HasSubstr("all_reduce: expected the same in every process"));
    EXPECT_THAT(text_thrown_by<std::runtime_error>([&] { all_gather(Tensor::zeros({n}), across); }),
                HasSubstr("12"));
    const Tensor four = Tensor::zeros({4});
    const std::string mixed = text_thrown_by<std::runtime_error>(
        [&] { across.rank() == 0 ? all_reduce(four, across) : all_gather(four, across); });
    EXPECT_THAT(mixed, testing::AllOf(HasSubstr("all_reduce"), HasSubstr("all_gather")));
    EXPECT_EQ(all_reduce(Tensor::full({1}, 1), across).item(), 2) << "afterwards all goes on";
    return std::vector<float>{};
  });
}

TEST(Communicator, RefusesWhatCannotBe) {
  EXPECT_THROW(Communicator(0), Error);
  Communicator two(2), one(1);
  EXPECT_THROW(two.join(2), Error);
  EXPECT_THROW(two.any(true), std::runtime_error) << "before join";
  EXPECT_THROW(all_reduce(Tensor::zeros({3}, kCpu, DType::i32), one), Error);
  EXPECT_THROW(all_gather(Tensor::zeros({0, 3}), one), Error);
  EXPECT_THROW(all_gather(Tensor::zeros({3, 3}), one, {.views = 2}), Error);
  EXPECT_THROW(all_gather(Tensor(), one), Error);
}

TEST(Communicator, NoticesAtOnceThatAnotherWasKilled) {
  const auto start = std::chrono::steady_clock::now();
  const auto all = start_processes(3, [](Communicator& across) {
    across.any(false);
    if (across.rank() == 1) ::raise(SIGKILL);
    EXPECT_THAT(text_thrown_by<PeerLost>([&] {
                  for (int i = 0; i < 3; ++i)
                    all_reduce(Tensor::zeros({300'000}), across);
                }),
                testing::AnyOf("process 1 of 3 ended unexpectedly",
                               // the first to notice goes, and the last learns that
                               "process 0 of 3 has left", "process 2 of 3 has left"));
    return std::vector<float>{};
  });
  EXPECT_EQ(all[0].code, 0);
  EXPECT_EQ(all[1].code, -SIGKILL);
  EXPECT_EQ(all[2].code, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Communicator, SaysWhyAnotherFailedAndThatAnotherLeft) {
  in_processes(2, [](Communicator& across) {
    if (across.rank() == 1) {
      across.fail("the loss was not finite");
    } else {
      EXPECT_EQ(text_thrown_by<PeerLost>([&] { across.any(false); }),
                "process 1 of 2 failed: the loss was not finite");
    }
    return std::vector<float>{};
  });
  in_processes(2, [](Communicator& across) {
    across.any(false);  // what a process brought before it left counts
    if (across.rank() == 0) {
      EXPECT_EQ(text_thrown_by<PeerLost>([&] { across.any(false); }), "process 1 of 2 has left");
    }
    return std::vector<float>{};
  });
}

TEST(Communicator, LeavesNothingInSharedMemory) {
  const auto names = [] {
    std::set<std::string> all;
    if (std::filesystem::exists("/dev/shm"))
      for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
        all.insert(entry.path().filename());
    return all;
  };
  const auto before = names();
  in_processes(2, [&](Communicator& across) {
    across.any(false);
    EXPECT_EQ(names(), before) << "nothing has a name even while they run";
    across.any(false);
    return std::vector<float>{};
  });
}

}  // namespace
}  // namespace clx::tests
