// kernels/cuda/batchnorm.cu on the emulator against plain loops in double.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/batchnorm.h"
#include "tests/kernels/emulated_arrays.h"

namespace clx::tests {
namespace {

using kernels::BatchNormShape;

struct Sizes {
  std::int64_t M;
  int C;
  int offset;  // elements past the aligned address
};

constexpr float kEps = 1e-5f, kMomentum = 0.1f;

struct Statistics {
  std::vector<double> mean, var;
};
Statistics statistics(BatchNormShape s, const HostArray& x) {
  Statistics out{std::vector<double>(s.C), std::vector<double>(s.C)};
  for (int c = 0; c < s.C; ++c) {
    for (std::int64_t m = 0; m < s.M; ++m)
      out.mean[c] += x[m * s.C + c] / s.M;
    for (std::int64_t m = 0; m < s.M; ++m)
      out.var[c] += std::pow(x[m * s.C + c] - out.mean[c], 2) / s.M;
  }
  return out;
}

using Case = std::tuple<Sizes, DType, bool, bool>;  // relu, residual
class GpuBatchNorm : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    Sizes sizes{};
    std::tie(sizes, dtype, relu, with_residual) = GetParam();
    s = {sizes.M, sizes.C};
    offset = sizes.offset;
  }
  HostArray activation(unsigned seed) const { return normal_array(s.M * s.C, seed, dtype, 0.3, 2, offset); }
  HostArray empty() const { return {s.M * s.C, dtype, offset}; }

  BatchNormShape s;
  DType dtype{};
  bool relu = false, with_residual = false;
  int offset = 0;
  EmulatedKernels gpu;
};

TEST_P(GpuBatchNorm, StatisticsAreThoseOfTheBatch) {
  const HostArray x = activation(1);
  const HostArray mean(s.C, DType::f32), inv_std(s.C, DType::f32);
  const HostArray running_mean = normal_array(s.C, 2), running_var = normal_array(s.C, 3, DType::f32, 2, 0.1);
  const std::vector<double> old_mean = running_mean.values(), old_var = running_var.values();
  kernels::batchnorm_statistics(gpu(), s, x.view(), kEps, kMomentum, mean.as<float>(), inv_std.as<float>(),
                                running_mean.as<float>(), running_var.as<float>());

  const Statistics expected = statistics(s, x);
  std::vector<double> inv(s.C), new_mean(s.C), new_var(s.C);
  for (int c = 0; c < s.C; ++c) {
    inv[c] = 1 / std::sqrt(expected.var[c] + kEps);
    new_mean[c] = (1 - kMomentum) * old_mean[c] + kMomentum * expected.mean[c];
    const double unbiased = s.M > 1 ? expected.var[c] * s.M / (s.M - 1) : 0;
    new_var[c] = (1 - kMomentum) * old_var[c] + kMomentum * unbiased;
  }
  expect_near(mean, expected.mean, 1e-5, 1e-6, "mean");
  expect_near(inv_std, inv, 1e-5, 0, "inv_std");
  expect_near(running_mean, new_mean, 1e-5, 1e-6, "running_mean");
  expect_near(running_var, new_var, 1e-5, 0, "running_var");
}

TEST_P(GpuBatchNorm, ForwardAndBackwardFollowTheirFormulas) {
  const HostArray x = activation(1), dy = activation(4), residual = activation(5);
  const HostArray gamma = normal_array(s.C, 6, DType::f32, 1), beta = normal_array(s.C, 7);
  const HostArray mean = normal_array(s.C, 8), inv_std = normal_array(s.C, 9, DType::f32, 0.7, 0.05);
  const HostArray y = empty();
  std::vector<std::uint8_t> saved(kernels::batchnorm_saved_bytes(gpu(), s, relu));
  kernels::batchnorm_apply(gpu(), s, x.view(), with_residual ? ConstView(residual.view()) : ConstView{},
                           gamma.as<float>(), beta.as<float>(), mean.as<float>(), inv_std.as<float>(), relu,
                           y.view(), relu ? saved.data() : nullptr);
  std::vector<double> expected(s.M * s.C);
  for (std::int64_t i = 0; i < s.M * s.C; ++i) {
    const std::int64_t c = i % s.C;
    expected[i] = gamma[c] * (x[i] - mean[c]) * inv_std[c] + beta[c] + (with_residual ? residual[i] : 0);
    if (relu) expected[i] = std::max(expected[i], 0.0);
  }
  expect_near(y, expected, 1e-5, 5e-6, "y");

  for (const bool training : {true, false}) {
    const HostArray dx = empty(), dresidual = empty();
    const HostArray dgamma(s.C, DType::f32), dbeta(s.C, DType::f32);
    kernels::batchnorm_backward(gpu(), s, x.view(), dy.view(), gamma.as<float>(), mean.as<float>(),
                                inv_std.as<float>(), training, relu, relu ? saved.data() : nullptr, dx.view(),
                                with_residual ? dresidual.view() : View{}, dgamma.as<float>(),
                                dbeta.as<float>());
    std::vector<double> g(s.M * s.C), sum_g(s.C), sum_gx(s.C), expected_dx(s.M * s.C);
    for (std::int64_t i = 0; i < s.M * s.C; ++i) {
      const std::int64_t c = i % s.C;
      g[i] = !relu || y[i] > 0 ? dy[i] : 0;
      sum_g[c] += g[i];
      sum_gx[c] += g[i] * (x[i] - mean[c]) * inv_std[c];
    }
    for (std::int64_t i = 0; i < s.M * s.C; ++i) {
      const std::int64_t c = i % s.C;
      const double x_hat = (x[i] - mean[c]) * inv_std[c];
      const double through_statistics = training ? (sum_g[c] + x_hat * sum_gx[c]) / s.M : 0;
      expected_dx[i] = gamma[c] * inv_std[c] * (g[i] - through_statistics);
    }
    expect_near(dbeta, sum_g, 1e-5, 1e-5 * std::sqrt(s.M), "dbeta");
    expect_near(dgamma, sum_gx, 1e-5, 1e-5 * std::sqrt(s.M), "dgamma");
    expect_near(dx, expected_dx, 1e-5, 1e-5, training ? "dx in training" : "dx in evaluation");
    if (with_residual) expect_near(dresidual, g, 0, 0, "dresidual");
  }
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  const auto& [sizes, dtype, relu, residual] = info.param;
  return "M" + std::to_string(sizes.M) + "C" + std::to_string(sizes.C) + (sizes.offset ? "unaligned" : "") +
         "_" + name_of(dtype) + (relu ? "_relu" : "") + (residual ? "_residual" : "");
}

// Rows: one, a prime, one past a tile, several blocks. Channels: odd, one past a warp, one pack, two blocks.
INSTANTIATE_TEST_SUITE_P(Shapes,
                         GpuBatchNorm,
                         testing::Combine(testing::Values(Sizes{1, 5, 0},
                                                          Sizes{7, 3, 0},
                                                          Sizes{300, 33, 0},
                                                          Sizes{2049, 8, 0},
                                                          Sizes{601, 64, 0},
                                                          Sizes{131, 40, 0},
                                                          Sizes{37, 264, 0},
                                                          Sizes{67, 16, 1}),
                                          testing::Values(DType::f32, DType::bf16),
                                          testing::Bool(),
                                          testing::Bool()),
                         name_of_case);

TEST(GpuBatchNormDetails, StatisticsAreAccurateWhenTheMeanIsLargeOrTheFirstValueIsFarOff) {
  EmulatedKernels gpu;
  const BatchNormShape s{4099, 16};
  HostArray x = normal_array(s.M * s.C, 1, DType::f32, 1000, 1);
  for (int c = 8; c < s.C; ++c)
    x.set(c, -30000.0 * c);
  const HostArray mean(s.C, DType::f32), inv_std(s.C, DType::f32);
  kernels::batchnorm_statistics(gpu(), s, x.view(), 0, 0, mean.as<float>(), inv_std.as<float>(), nullptr,
                                nullptr);
  const Statistics expected = statistics(s, x);
  std::vector<double> inv;
  for (const double var : expected.var)
    inv.push_back(1 / std::sqrt(var));
  expect_near(mean, expected.mean, 2e-7, 0, "mean");
  expect_near(inv_std, inv, 2e-6, 0, "inv_std");
}

// Moments that a convolution left: of tiles of a few rows, the last ones smaller, some empty.
TEST(GpuBatchNormDetails, GivenPartsReplaceTheReading) {
  EmulatedKernels gpu;
  for (const int parts : {1, 3, 64, 256, 700}) {
    const int C = 40;
    const BatchNormShape s{parts + 7, C};
    const HostArray x = normal_array(s.M * C, 1, DType::f32, 3, 2);
    HostArray moments(std::int64_t(parts) * C * 3, DType::f32);
    for (std::int64_t part = 0, row = 0; part < parts; ++part) {
      const std::int64_t rows = part == 0 ? 7 + parts % 2 + 1 : part % 2 ? 0 : 2;
      const std::int64_t end = part == parts - 1 ? s.M : std::min(s.M, row + rows);
      for (int c = 0; c < C; ++c) {
        double mean = 0, m2 = 0;
        for (std::int64_t m = row; m < end; ++m)
          mean += x[m * C + c] / double(end - row);
        for (std::int64_t m = row; m < end; ++m)
          m2 += std::pow(x[m * C + c] - mean, 2);
        const double values[] = {double(end - row), mean, m2};
        for (int i = 0; i < 3; ++i)
          moments.set((part * C + c) * 3 + i, values[i]);
      }
      row = end;
    }
    std::vector<std::vector<float>> given(4, std::vector<float>(C, 1)), read = given;
    kernels::batchnorm_statistics(gpu(), s, {nullptr, DType::f32}, kEps, kMomentum, given[0].data(),
                                  given[1].data(), given[2].data(), given[3].data(),
                                  {parts, moments.as<float>()});
    kernels::batchnorm_statistics(gpu(), s, x.view(), kEps, kMomentum, read[0].data(), read[1].data(),
                                  read[2].data(), read[3].data());
    for (int k = 0; k < 4; ++k)
      for (int c = 0; c < C; ++c)
        ASSERT_NEAR(given[k][c], read[k][c], 4e-6 * std::abs(read[k][c]) + 1e-6) << parts << " parts";
  }
}

// The rows of several processes: what they merge and what each takes from the sums of all.
TEST(GpuBatchNormDetails, PartsMergeIntoTheStatisticsAndGradientsOfAll) {
  EmulatedKernels gpu;
  for (const BatchNormShape part : {BatchNormShape{1, 5}, BatchNormShape{131, 40}}) {
    constexpr int kParts = 3;
    const std::int64_t n = part.M * part.C;
    const int C = part.C;
    const BatchNormShape all{kParts * part.M, C};
    const HostArray x = normal_array(kParts * n, 1, DType::f32, 3, 2), dy = normal_array(kParts * n, 2);
    const HostArray gamma = normal_array(C, 3);
    const auto rows = [&](const HostArray& a, int i) { return View{a.as<float>() + i * n, DType::f32}; };
    std::vector<float> moments(2 * kParts * C);
    std::vector<std::vector<float>> by_parts(4, std::vector<float>(C, 1)), at_once = by_parts;
    for (int i = 0; i < kParts; ++i)
      kernels::batchnorm_moments(gpu(), part, rows(x, i), &moments[2 * i * C]);
    kernels::batchnorm_merge(gpu(), part, kParts, moments.data(), kEps, kMomentum, by_parts[0].data(),
                             by_parts[1].data(), by_parts[2].data(), by_parts[3].data());
    kernels::batchnorm_statistics(gpu(), all, x.view(), kEps, kMomentum, at_once[0].data(), at_once[1].data(),
                                  at_once[2].data(), at_once[3].data());
    for (int k = 0; k < 4; ++k)
      for (int c = 0; c < C; ++c)
        ASSERT_NEAR(by_parts[k][c], at_once[k][c], 2e-6 * std::abs(at_once[k][c]))
            << k << " of channel " << c;

    const float *mean = at_once[0].data(), *inv_std = at_once[1].data();
    std::vector<float> sums(2 * C), part_sums(2 * C), dgamma(C), dbeta(C);
    const HostArray dx(kParts * n, DType::f32), expected(kParts * n, DType::f32);
    kernels::batchnorm_backward(gpu(), all, x.view(), dy.view(), gamma.as<float>(), mean, inv_std, true,
                                false, nullptr, expected.view(), {}, dgamma.data(), dbeta.data());
    for (int i = 0; i < kParts; ++i) {
      kernels::batchnorm_gradient_sums(gpu(), part, rows(x, i), rows(dy, i), mean, inv_std, false, nullptr,
                                       part_sums.data(), &part_sums[C]);
      for (int k = 0; k < 2 * C; ++k)
        sums[k] += part_sums[k];
    }
    for (int i = 0; i < kParts; ++i)
      kernels::batchnorm_dx(gpu(), part, all.M, rows(x, i), rows(dy, i), gamma.as<float>(), mean, inv_std,
                            sums.data(), &sums[C], true, false, nullptr, rows(dx, i), {});
    expect_near(dx, expected.values(), 1e-5, 1e-6, "dx");
  }
}

TEST(GpuBatchNormDetails, StatisticsRepeatBitForBit) {
  EmulatedKernels gpu;
  const BatchNormShape s{1031, 24};
  const HostArray x = normal_array(s.M * s.C, 1);
  std::vector<float> first(2 * s.C), second(2 * s.C);
  for (std::vector<float>* out : {&first, &second})
    kernels::batchnorm_statistics(gpu(), s, x.view(), kEps, 0, out->data(), out->data() + s.C, nullptr,
                                  nullptr);
  EXPECT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(float)), 0);
}

TEST(GpuBatchNormDetails, InvStdComesFromTheRunningVariance) {
  EmulatedKernels gpu;
  const int C = 257;
  const HostArray var = normal_array(C, 1, DType::f32, 3, 0.2), inv_std(C, DType::f32);
  kernels::batchnorm_inv_std(gpu(), C, var.as<float>(), kEps, inv_std.as<float>());
  std::vector<double> expected;
  for (int c = 0; c < C; ++c)
    expected.push_back(1 / std::sqrt(var[c] + static_cast<double>(kEps)));
  expect_near(inv_std, expected, 1e-6, 0, "inv_std");
}

TEST(GpuBatchNormDetails, NanPassesThroughReluAndCountsAsNotPassed) {
  EmulatedKernels gpu;
  const BatchNormShape s{1, 8};
  HostArray x(8, DType::f32), y(8, DType::f32);  // NaN
  x.set(1, 2);
  const std::vector<float> ones(8, 1), zeros(8, 0);
  std::vector<std::uint8_t> saved(kernels::batchnorm_saved_bytes(gpu(), s, true));
  kernels::batchnorm_apply(gpu(), s, x.view(), {}, ones.data(), zeros.data(), zeros.data(), ones.data(), true,
                           y.view(), saved.data());
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 2);
  EXPECT_EQ(saved[0], 2);
}

}  // namespace
}  // namespace clx::tests
