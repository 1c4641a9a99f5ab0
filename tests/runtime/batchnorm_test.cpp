#include "runtime/ops/batchnorm.h"

#include "kernels/cuda/emulator/thread.h"
#include "runtime/ops/conv2d.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/batchnorm.h"

namespace clx::tests {
namespace {

struct Variant {
  bool training = true, relu = false, residual = false;
  DType dtype = DType::f32;
};

class BatchNorm : public DeviceTest {
 protected:
  static void check(const Shape& shape, const Variant& v, const CheckOptions& options = {}) {
    SCOPED_TRACE(concat("x ", shape, " ", name_of(v.dtype), ", training ", v.training, ", relu ", v.relu,
                        ", residual ", v.residual));
    const Shape channels{shape[-1]};
    const Array mean = uniform(channels, 5, -0.5, 0.5), var = uniform(channels, 6, 0.5, 2);
    std::vector<Input> inputs{{uniform(shape, 1, -1, 2, v.dtype), v.dtype},
                              {uniform(channels, 2, -1.5, 1.5)},
                              {uniform(channels, 3)}};
    if (v.residual) inputs.push_back({uniform(shape, 4, -1, 1, v.dtype), v.dtype});
    check_op(
        device(), inputs,
        [&](const auto& in) {
          Tensor running_mean = to_tensor(mean, device()), running_var = to_tensor(var, device());
          return batchnorm(
              in[0], in[1], in[2], running_mean, running_var,
              {.training = v.training, .relu = v.relu, .residual = v.residual ? in[3] : Tensor()});
        },
        [&](const auto& in) {
          return reference::batchnorm(
                     in[0], in[1], in[2], mean, var,
                     {.training = v.training, .relu = v.relu, .residual = v.residual ? in[3] : Array()})
              .y;
        },
        options);
  }
  static void check_all_variants(const Shape& shape, DType dtype = DType::f32) {
    for (int bits = 0; bits < 8; ++bits)
      check(shape, {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, dtype});
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, BatchNorm, every_device(), device_name);

TEST_P(BatchNorm, MatchesReferenceOnOddSizes) {
  check_all_variants({2, 5, 3, 7});
}

TEST_P(BatchNorm, MatchesReferenceInBf16) {
  check_all_variants({2, 3, 5, 8}, DType::bf16);
  check({3, 3, 3, 5}, {.relu = true, .dtype = DType::bf16});
}

TEST_P(BatchNorm, MatchesReferenceOnOneChannel) {
  check({2, 1, 1, 1}, {});
  check({1, 17, 1}, {.relu = true});
}

TEST_P(BatchNorm, MatchesReferenceOnOnePositionInEvaluation) {
  check({1, 1, 1, 6}, {.training = false, .relu = true, .residual = true});
}

TEST_P(BatchNorm, MatchesReferenceOnePastATile) {
  for (const int channels : {33, 65, 129})
    check({3, channels}, {.relu = true, .residual = true});
  for (const int positions : {33, 65, 129, 257, 1025})
    check({positions, 3}, {.relu = true});
  check({33, 33}, {});
}

TEST_P(BatchNorm, UpdatesRunningStatisticsInTraining) {
  const Array x = uniform({3, 2, 2, 5}, 1, -1, 3), gamma = uniform({5}, 2), beta = uniform({5}, 3);
  const Array mean = uniform({5}, 4), var = uniform({5}, 5, 0.5, 2);
  Tensor running_mean = to_tensor(mean, device()), running_var = to_tensor(var, device());
  const auto before = running_mean.version();
  batchnorm(to_tensor(x, device()), to_tensor(gamma, device()), to_tensor(beta, device()), running_mean,
            running_var, {.training = true, .momentum = 0.25f});
  const auto expected = reference::batchnorm(x, gamma, beta, mean, var, {.training = true, .momentum = 0.25});
  EXPECT_TRUE(all_close(to_array(running_mean), expected.running_mean, {1e-6, 1e-6}));
  EXPECT_TRUE(all_close(to_array(running_var), expected.running_var, {1e-6, 1e-6}));
  EXPECT_GT(running_mean.version(), before);
}

TEST_P(BatchNorm, LeavesRunningStatisticsAloneInEvaluation) {
  Tensor running_mean = to_tensor(uniform({5}, 4), device()), running_var = Tensor::full({5}, 2, device());
  const auto mean = bits(running_mean), var = bits(running_var);
  const Tensor ones = Tensor::full({5}, 1, device());
  batchnorm(to_tensor(uniform({4, 5}, 1), device()), ones, ones, running_mean, running_var);
  EXPECT_EQ(bits(running_mean), mean);
  EXPECT_EQ(bits(running_var), var);
}

TEST_P(BatchNorm, NormalisesTheBatch) {
  const Tensor x = to_tensor(uniform({64, 3}, 1, 4, 9), device());
  Tensor mean = Tensor::zeros({3}, device()), var = Tensor::full({3}, 1, device());
  const Array y = to_array(batchnorm(x, Tensor::full({3}, 1, device()), Tensor::zeros({3}, device()), mean,
                                     var, {.training = true}));
  for (int c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    for (int i = 0; i < 64; ++i) {
      sum += y(i, c) / 64;
      squares += y(i, c) * y(i, c) / 64;
    }
    EXPECT_NEAR(sum, 0, 1e-6);
    EXPECT_NEAR(squares, 1, 1e-4);
  }
}

TEST_P(BatchNorm, KeepsItsAccuracyFarFromZero) {
  // E[x²] − E[x]² in f32 would have no correct digit here. x is exact: multiples of 1/16 near 4096.
  Array x = integers({50, 3}, 1, 20);
  for (double& value : x.values)
    value = 4096 + value / 16;
  const Array ones({3}, {1, 1, 1}), zeros({3});
  check_op(
      device(), {{x, DType::f32, false}, {ones}, {zeros}},
      [&](const auto& in) {
        Tensor mean = to_tensor(zeros, device()), var = to_tensor(ones, device());
        return batchnorm(in[0], in[1], in[2], mean, var, {.training = true});
      },
      [&](const auto& in) {
        return reference::batchnorm(in[0], in[1], in[2], zeros, ones, {.training = true}).y;
      },
      // The mean itself has an error of up to 2⁻¹³ at 4096, and the deviations are about 0.7.
      {.f32 = {5e-4, 1e-4}, .gradient = false});
}

TEST_P(BatchNorm, StopsTheGradientWhereReluGivesZeroExactly) {
  // x = 0, gamma = 1, beta = 0 in evaluation: the pre-activation is 0, where the gradient is 0.
  Tensor x = Tensor::zeros({2, 3}, device());
  Tensor mean = Tensor::zeros({3}, device()), var = Tensor::full({3}, 1, device());
  const Tensor y = batchnorm(x.require_grad(), Tensor::full({3}, 1, device()), Tensor::zeros({3}, device()),
                             mean, var, {.relu = true});
  EXPECT_TRUE(all_close(to_array(grad(y, {x})[0]), Array({2, 3}), {}));
}

TEST_P(BatchNorm, TakesTheMomentsThatAConvolutionGave) {
  const Tensor x = to_tensor(uniform({3, 7, 9, 64}, 1, -1, 2, DType::bf16), device(), DType::bf16);
  const Tensor w = to_tensor(uniform({64, 3, 3, 64}, 2), device());
  Tensor moments;
  const Tensor y = conv2d(x, w, {.padding = 1, .moments = &moments});
  EXPECT_EQ(bits(y), bits(conv2d(x, w, {.padding = 1})));
  if (device().kind != DeviceKind::cuda) {  // of which there are several kinds
    const bool hopper = device().kind == DeviceKind::emulated && emulator::compute_capability() == 90;
    EXPECT_EQ(moments.defined(), hopper);
  }
  const Tensor gamma = to_tensor(uniform({64}, 3), device()), beta = to_tensor(uniform({64}, 4), device());
  const auto run = [&](const Tensor& given) {
    Tensor mean = Tensor::zeros({64}, device()), var = Tensor::full({64}, 1, device());
    batchnorm(y, gamma, beta, mean, var, {.training = true, .moments = given});
    return std::pair(to_array(mean), to_array(var));
  };
  const auto given = run(moments), read = run({});
  EXPECT_TRUE(all_close(given.first, read.first, {1e-5, 1e-6}));
  EXPECT_TRUE(all_close(given.second, read.second, {1e-5, 1e-6}));
  EXPECT_THROW(run(Tensor::zeros({1, 63, 3}, device())), Error);
}

TEST_P(BatchNorm, RefusesWhatDoesNotFit) {
  const auto f32 = [](Shape shape) { return Tensor::full(std::move(shape), 1, device()); };
  const Tensor x = f32({2, 4, 4, 3}), scale = f32({3});
  Tensor mean = f32({3}), var = f32({3}), four = f32({4});
  EXPECT_NO_THROW(batchnorm(x, scale, scale, mean, var));
  EXPECT_THROW(batchnorm(x, f32({4}), scale, mean, var), Error);
  EXPECT_THROW(batchnorm(x, scale, f32({4}), mean, var), Error);
  EXPECT_THROW(batchnorm(x, scale, scale, four, var), Error);
  EXPECT_THROW(batchnorm(x, scale, scale, mean, four), Error);
  EXPECT_THROW(batchnorm(f32({0, 4, 4, 3}), scale, scale, mean, var), Error) << "an empty batch";
  EXPECT_THROW(batchnorm(f32({3}), scale, scale, mean, var), Error) << "one axis";
  EXPECT_THROW(batchnorm(f32({1, 1, 1, 3}), scale, scale, mean, var, {.training = true}), Error)
      << "one value per channel";
  EXPECT_NO_THROW(batchnorm(f32({1, 1, 1, 3}), scale, scale, mean, var));
  EXPECT_THROW(batchnorm(x, scale, scale, mean, var, {.residual = f32({2, 4, 3, 3})}), Error);
  EXPECT_THROW(batchnorm(x, Tensor(), scale, mean, var), Error);
  EXPECT_THROW(batchnorm(Tensor::zeros({2, 3}, device(), DType::i32), scale, scale, mean, var), Error);
}

}  // namespace
}  // namespace clx::tests
