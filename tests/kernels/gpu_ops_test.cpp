// kernels/cuda/elementwise.cu and pool.cu on the emulator against plain loops in double.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/pool.h"
#include "tests/kernels/emulated_arrays.h"

namespace clx::tests {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ------------------------------------------------------------------------------------ elementwise
struct Length {
  std::int64_t n;
  int offset;
};
// One; below, at and past a pack; a block and one; more than one block and a ragged end; unaligned.
class GpuElementwise : public testing::TestWithParam<std::tuple<Length, DType>> {
 protected:
  std::int64_t n = std::get<0>(GetParam()).n;
  int offset = std::get<0>(GetParam()).offset;
  DType dtype = std::get<1>(GetParam());
  HostArray values(unsigned seed) const { return normal_array(n, seed, dtype, 0, 1, offset); }
  EmulatedKernels gpu;
};
INSTANTIATE_TEST_SUITE_P(Lengths,
                         GpuElementwise,
                         testing::Combine(testing::Values(Length{1, 0},
                                                          Length{7, 0},
                                                          Length{8, 0},
                                                          Length{2049, 0},
                                                          Length{6007, 0},
                                                          Length{523, 1}),
                                          testing::Values(DType::f32, DType::bf16)));

TEST_P(GpuElementwise, AddIsTheRoundedSum) {
  const HostArray a = values(1), c = values(2), y(n, dtype, offset);
  kernels::add(gpu(), n, a.view(), c.view(), y.view());
  HostArray expected(n, dtype);
  for (std::int64_t i = 0; i < n; ++i)
    expected.set(i, static_cast<float>(a[i]) + static_cast<float>(c[i]));
  EXPECT_EQ(y.values(), expected.values());
}

TEST_P(GpuElementwise, AddMayOverwriteAnInput) {
  const HostArray a = values(1), c = values(2), y(n, dtype, offset);
  kernels::add(gpu(), n, a.view(), c.view(), y.view());
  kernels::add(gpu(), n, a.view(), c.view(), c.view());
  EXPECT_EQ(c.values(), y.values());
}

TEST_P(GpuElementwise, ReluKeepsPositiveValuesAndItsGradientFollows) {
  const HostArray x = values(1), dy = values(2), y(n, dtype, offset), dx(n, dtype, offset);
  kernels::relu_forward(gpu(), n, x.view(), y.view());
  kernels::relu_backward(gpu(), n, y.view(), dy.view(), dx.view());
  for (std::int64_t i = 0; i < n; ++i) {
    ASSERT_EQ(y[i], std::max(x[i], 0.0)) << i;
    ASSERT_EQ(dx[i], x[i] > 0 ? dy[i] : 0.0) << i;
  }
}

TEST_P(GpuElementwise, ConvertRoundsToNearestEven) {
  for (const DType to : {DType::f32, DType::bf16}) {
    const HostArray x = values(1), y(n, to, offset);
    kernels::convert(gpu(), n, x.view(), y.view());
    HostArray expected(n, to);
    for (std::int64_t i = 0; i < n; ++i)
      expected.set(i, x[i]);
    EXPECT_EQ(y.values(), expected.values()) << name_of(to);
  }
}

TEST_P(GpuElementwise, FillReachesEveryElement) {
  const HostArray y(n, dtype, offset);
  kernels::fill(gpu(), n, 1.5f, y.view());
  EXPECT_EQ(y.values(), std::vector<double>(static_cast<std::size_t>(n), 1.5));
}

TEST(GpuElementwiseDetails, ReluKeepsNanAndItsGradientThereIsZero) {
  EmulatedKernels gpu;
  HostArray x(1, DType::f32), y(1, DType::f32), dx(1, DType::f32), dy(1, DType::f32);
  dy.set(0, 3);
  kernels::relu_forward(gpu(), 1, x.view(), y.view());
  kernels::relu_backward(gpu(), 1, y.view(), dy.view(), dx.view());
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(dx[0], 0);
}

// ------------------------------------------------------------------------------------ pooling
using kernels::PoolShape;

class GpuMaxPool : public testing::TestWithParam<std::tuple<PoolShape, DType>> {};
INSTANTIATE_TEST_SUITE_P(Shapes,
                         GpuMaxPool,
                         testing::Combine(testing::Values(PoolShape{2, 7, 9, 64, 3, 2, 1},
                                                          PoolShape{3, 8, 8, 5, 3, 2, 1},
                                                          PoolShape{1, 5, 4, 264, 2, 2, 0},
                                                          PoolShape{2, 6, 7, 33, 3, 1, 1},
                                                          PoolShape{1, 9, 9, 8, 2, 3, 0}),
                                          testing::Values(DType::f32, DType::bf16)));

TEST_P(GpuMaxPool, TakesTheFirstMaximumAndSendsTheGradientThere) {
  const auto& [s, dtype] = GetParam();
  EmulatedKernels gpu;
  const int P = s.P(), Q = s.Q();
  const std::int64_t n_x = std::int64_t(s.N) * s.H * s.W * s.C, n_y = std::int64_t(s.N) * P * Q * s.C;
  HostArray x = normal_array(n_x, 1, dtype, -5);
  for (std::int64_t i = 0; i < n_x; ++i)
    x.set(i, std::round(x[i]));  // ties
  const HostArray dy = normal_array(n_y, 2, dtype), y(n_y, dtype), dx(n_x, dtype);
  std::vector<std::uint8_t> argmax(static_cast<std::size_t>(n_y));
  kernels::max_pool_forward(gpu(), s, x.view(), y.view(), argmax.data());
  kernels::max_pool_backward(gpu(), s, dy.view(), argmax.data(), dx.view());

  std::vector<double> expected_y(n_y), expected_dx(n_x);
  for (std::int64_t i = 0; i < n_y; ++i) {
    const int c = i % s.C, q = i / s.C % Q, p = i / s.C / Q % P, n = i / s.C / Q / P;
    double best = -kInfinity;
    std::int64_t from = -1;
    int choice = -1;
    for (int r = 0; r < s.R; ++r)
      for (int t = 0; t < s.R; ++t) {
        const int h = p * s.stride + r - s.padding, w = q * s.stride + t - s.padding;
        if (h < 0 || h >= s.H || w < 0 || w >= s.W) continue;
        const std::int64_t j = ((std::int64_t(n) * s.H + h) * s.W + w) * s.C + c;
        if (x[j] > best) best = x[j], from = j, choice = r * s.R + t;
      }
    expected_y[i] = best;
    expected_dx[from] += dy[i];
    ASSERT_EQ(argmax[i], choice) << "argmax[" << i << "]";
  }
  EXPECT_EQ(y.values(), expected_y);
  expect_near(dx, expected_dx, 1e-6, 1e-6, "dx");
}

TEST(GpuMaxPoolDetails, NanWinsAndAnImageOfMinusInfinityStillHasAMaximumInside) {
  EmulatedKernels gpu;
  for (const int C : {1, 8}) {
    const PoolShape s{1, 2, 2, C, 3, 2, 1};
    HostArray x(4 * C, DType::f32), y(C, DType::f32);
    for (int c = 0; c < C; ++c)
      for (int i = 0; i < 4; ++i)
        x.set(i * C + c, c == 0 ? -kInfinity : (i == 1 ? kNan : i));
    std::vector<std::uint8_t> argmax(static_cast<std::size_t>(C));
    kernels::max_pool_forward(gpu(), s, x.view(), y.view(), argmax.data());
    EXPECT_EQ(y[0], -kInfinity);
    EXPECT_EQ(argmax[0], 4);  // the window's centre is the image's first pixel
    for (int c = 1; c < C; ++c) {
      EXPECT_TRUE(std::isnan(y[c])) << c;
      EXPECT_EQ(argmax[c], 5) << c;
    }
  }
}

struct AverageShape {
  int N, HW, C;
};
class GpuAveragePool : public testing::TestWithParam<std::tuple<AverageShape, DType>> {};
INSTANTIATE_TEST_SUITE_P(Shapes,
                         GpuAveragePool,
                         testing::Combine(testing::Values(AverageShape{3, 49, 64},
                                                          AverageShape{2, 1, 5},
                                                          AverageShape{5, 64, 33},
                                                          AverageShape{1, 131, 264},
                                                          AverageShape{4099, 9, 1}),
                                          testing::Values(DType::f32, DType::bf16)));

TEST_P(GpuAveragePool, IsTheMeanAndSpreadsTheGradientEvenly) {
  const auto& [s, dtype] = GetParam();
  EmulatedKernels gpu;
  const std::int64_t n_x = std::int64_t(s.N) * s.HW * s.C;
  const HostArray x = normal_array(n_x, 1, dtype, 3), y(s.N * s.C, DType::f32);
  const HostArray dy = normal_array(s.N * s.C, 2), dx(n_x, dtype);
  kernels::average_pool_forward(gpu(), s.N, s.HW, s.C, x.view(), y.as<float>());
  kernels::average_pool_backward(gpu(), s.N, s.HW, s.C, dy.as<float>(), dx.view());
  std::vector<double> expected_y(s.N * s.C), expected_dx(n_x);
  for (std::int64_t i = 0; i < n_x; ++i) {
    const std::int64_t to = i / s.C / s.HW * s.C + i % s.C;
    expected_y[to] += x[i] / s.HW;
    expected_dx[i] = dy[to] / s.HW;
  }
  expect_near(y, expected_y, 1e-6, 1e-6, "y");
  expect_near(dx, expected_dx, 1e-6, 0, "dx");
}

using kernels::SubsampleShape;
class GpuSubsample : public testing::TestWithParam<std::tuple<SubsampleShape, DType>> {};
INSTANTIATE_TEST_SUITE_P(Shapes,
                         GpuSubsample,
                         testing::Combine(testing::Values(SubsampleShape{2, 8, 8, 16, 32, 2},
                                                          SubsampleShape{3, 7, 5, 3, 6, 2},
                                                          SubsampleShape{1, 4, 5, 30, 67, 1},
                                                          SubsampleShape{2, 7, 7, 5, 5, 3}),
                                          testing::Values(DType::f32, DType::bf16)));

TEST_P(GpuSubsample, CopiesEveryStridethPixelIntoTheMiddleChannelsAndBack) {
  const auto& [s, dtype] = GetParam();
  EmulatedKernels gpu;
  const int P = s.P(), Q = s.Q(), shift = (s.K - s.C) / 2;
  const std::int64_t n_x = std::int64_t(s.N) * s.H * s.W * s.C, n_y = std::int64_t(s.N) * P * Q * s.K;
  const HostArray x = normal_array(n_x, 1, dtype), y(n_y, dtype), dy = normal_array(n_y, 2, dtype),
                  dx(n_x, dtype);
  kernels::subsample_forward(gpu(), s, x.view(), y.view());
  kernels::subsample_backward(gpu(), s, dy.view(), dx.view());
  std::vector<double> expected_y(n_y), expected_dx(n_x);
  for (std::int64_t position = 0; position < std::int64_t(s.N) * P * Q; ++position)
    for (int c = 0; c < s.C; ++c) {
      const std::int64_t q = position % Q, p = position / Q % P, n = position / Q / P;
      const std::int64_t from = ((n * s.H + p * s.stride) * s.W + q * s.stride) * s.C + c;
      const std::int64_t to = position * s.K + c + shift;
      expected_y[to] = x[from];
      expected_dx[from] = dy[to];
    }
  EXPECT_EQ(y.values(), expected_y);
  EXPECT_EQ(dx.values(), expected_dx);
}

}  // namespace
}  // namespace clx::tests
