// Batch normalisation over the batches of several processes against one process with all of them.
#include "runtime/autograd.h"
#include "runtime/communicator.h"
#include "runtime/ops/batchnorm.h"
#include "tests/check_op.h"
#include "tests/processes.h"

namespace clx::tests {
namespace {

struct Case {
  Device device;
  int size;
  bool relu, residual;
  DType dtype = DType::f32;
};

// y, dx and dresidual of this process's rows; statistics; then dgamma and dbeta.
struct Result {
  Array y, dx, dresidual, running_mean, running_var, dgamma, dbeta;
};

constexpr std::int64_t kRows = 12, kChannels = 21;  // rows for 1, 2, 3 and 4 processes

Array rows_of(const Array& all, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = all.size() / kRows;
  return {{end - begin, width / kChannels, kChannels},
          {all.values.begin() + begin * width, all.values.begin() + end * width}};
}

Result run(const Case& k, std::int64_t begin, std::int64_t end, Communicator* across) {
  const Shape shape{kRows, 3, kChannels};
  const auto mine = [&](unsigned seed) {
    return to_tensor(rows_of(uniform(shape, seed, -1, 3, k.dtype), begin, end), k.device, k.dtype);
  };
  Tensor x = mine(1).require_grad(), residual = mine(2).require_grad();
  Tensor gamma = to_tensor(uniform({kChannels}, 3, 0.5, 1.5), k.device).require_grad();
  Tensor beta = to_tensor(uniform({kChannels}, 4), k.device).require_grad();
  Tensor mean = Tensor::zeros({kChannels}, k.device), var = Tensor::full({kChannels}, 1, k.device);
  const Tensor y = batchnorm(
      x, gamma, beta, mean, var,
      {.training = true, .relu = k.relu, .residual = k.residual ? residual : Tensor(), .across = across});
  std::vector<Tensor> inputs{x, gamma, beta};
  if (k.residual) inputs.push_back(residual);
  const std::vector<Tensor> d = grad(y, inputs, {.dy = mine(5)});
  return {to_array(y),    to_array(d[0]), k.residual ? to_array(d[3]) : Array(),
          to_array(mean), to_array(var),  to_array(d[1]),
          to_array(d[2])};
}

class SyncBatchNorm : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Cases,
                         SyncBatchNorm,
                         testing::Values(Case{kCpu, 1, true, true},
                                         Case{kCpu, 2, false, false},
                                         Case{kCpu, 2, true, true},
                                         Case{kCpu, 4, true, false},
                                         Case{kCpu, 3, true, true, DType::bf16},
                                         Case{kEmulated, 2, true, true},
                                         Case{kEmulated, 3, false, false}),
                         [](const auto& info) {
                           const Case& k = info.param;
                           return concat(k.device, k.size, k.relu ? "_relu" : "",
                                         k.residual ? "_residual_" : "_", name_of(k.dtype));
                         });

TEST_P(SyncBatchNorm, IsThatOfOneProcessWithAllRows) {
  const Case k = GetParam();
  const Result one = run(k, 0, kRows, nullptr);
  const double ulp = k.dtype == DType::bf16 ? 1.0 / 256 : 1e-5;
  const auto parameter_gradients = in_processes(k.size, [&](Communicator& across) {
    const auto [begin, end] = across.share(kRows);
    const Result mine = run(k, begin, end, &across);
    EXPECT_TRUE(all_close(mine.y, rows_of(one.y, begin, end), {1e-5, ulp}));
    EXPECT_TRUE(all_close(mine.dx, rows_of(one.dx, begin, end), {1e-5, ulp}));
    if (k.residual) {
      EXPECT_TRUE(all_close(mine.dresidual, rows_of(one.dresidual, begin, end), {}));
    }
    EXPECT_TRUE(all_close(mine.running_mean, one.running_mean, {1e-6, 1e-6}));
    EXPECT_TRUE(all_close(mine.running_var, one.running_var, {1e-6, 1e-6}));
    std::vector<float> d;
    for (const Array& a : {mine.dgamma, mine.dbeta, mine.running_mean, mine.running_var})
      d.insert(d.end(), a.values.begin(), a.values.end());
    return d;
  });
  Array dgamma({kChannels}), dbeta({kChannels});
  for (const std::vector<float>& d : parameter_gradients) {
    ASSERT_EQ(d.size(), 4 * kChannels);
    for (std::size_t c = 0; c < kChannels; ++c) {
      dgamma.values[c] += static_cast<double>(d[c]);
      dbeta.values[c] += static_cast<double>(d[kChannels + c]);
    }
    EXPECT_TRUE(
        std::equal(d.begin() + 2 * kChannels, d.end(), parameter_gradients[0].begin() + 2 * kChannels))
        << "the statistics are the same bits everywhere";
  }
  EXPECT_TRUE(all_close(dgamma, one.dgamma, {1e-5, 1e-5}));
  EXPECT_TRUE(all_close(dbeta, one.dbeta, {1e-5, 1e-5}));
}

TEST(SyncBatchNormDetails, OnePositionInEachProcessIsEnoughInTraining) {
  in_processes(2, [](Communicator& across) {
    const Tensor x = Tensor::full({1, 3}, static_cast<float>(across.rank()));
    const Tensor ones = Tensor::full({3}, 1), zeros = Tensor::zeros({3});
    Tensor mean = Tensor::zeros({3}), var = Tensor::full({3}, 1);
    const Tensor y = batchnorm(x, ones, zeros, mean, var, {.training = true, .eps = 0, .across = &across});
    EXPECT_EQ(y.to_host(), std::vector<float>(3, across.rank() == 0 ? -1.0f : 1.0f));
    EXPECT_THROW(batchnorm(x, ones, zeros, mean, var, {.training = true}), Error);
    return std::vector<float>{};
  });
}

TEST(SyncBatchNormDetails, EvaluationWaitsForNobody) {
  in_processes(2, [](Communicator& across) {
    const Tensor ones = Tensor::full({3}, 1), x = Tensor::full({2, 3}, 4);
    Tensor mean = Tensor::zeros({3}), var = Tensor::full({3}, 1);
    if (across.rank() == 0) {
      EXPECT_NEAR(batchnorm(x, ones, ones, mean, var, {.across = &across}).to_host()[0], 5, 1e-4);
    }
    return std::vector<float>{};
  });
}

}  // namespace
}  // namespace clx::tests
