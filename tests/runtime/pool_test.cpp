#include "runtime/ops/pool.h"

#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/pool.h"

namespace clx::tests {
namespace {

class MaxPool : public DeviceTest {
 protected:
  static void check(const Shape& shape, int window, int stride, int padding, DType dtype = DType::f32) {
    SCOPED_TRACE(concat("x ", shape, " ", name_of(dtype), ", window ", window, ", stride ", stride,
                        ", padding ", padding));
    check_op(
        device(), {{map_to(dtype, spaced(shape, 7)), dtype}},
        [&](const auto& in) {
          return max_pool(in[0], {.window = window, .stride = stride, .padding = padding});
        },
        [&](const auto& in) { return reference::max_pool(in[0], window, stride, padding); });
  }
};
class GlobalAveragePool : public DeviceTest {};
class Subsample : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, MaxPool, every_device(), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, GlobalAveragePool, every_device(), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, Subsample, every_device(), device_name);

TEST_P(MaxPool, MatchesReferenceOnOddSizes) {
  check({1, 1, 1, 1}, 1, 1, 0);
  check({2, 7, 5, 3}, 2, 2, 0);
  check({1, 11, 13, 5}, 3, 2, 1);  // the stem of a ResNet
  check({2, 5, 5, 33}, 3, 2, 1);
  check({1, 6, 9, 2}, 3, 1, 1);  // overlapping windows
  check({1, 8, 7, 2}, 2, 3, 0);  // gaps between windows
  check({1, 4, 4, 65}, 4, 4, 0);
  check({1, 3, 2, 3}, 5, 1, 2);
  check({1, 16, 17, 1}, 15, 1, 7);
}

TEST_P(MaxPool, MatchesReferenceInBf16) {
  check({1, 5, 7, 3}, 3, 2, 1, DType::bf16);
  check({2, 4, 4, 8}, 2, 2, 0, DType::bf16);
}

TEST_P(MaxPool, GivesTheGradientOfATieToTheFirst) {
  Tensor x = Tensor::full({1, 4, 4, 1}, 2, device());
  const Tensor y = max_pool(x.require_grad(), {.window = 3, .stride = 1});
  const std::vector<float> dx = grad(y, {x})[0].to_host();
  EXPECT_EQ(dx, (std::vector<float>{1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_P(MaxPool, NeverLetsPaddingWin) {
  Tensor x = Tensor::full({1, 2, 2, 3}, -5, device());
  const Tensor y = max_pool(x.require_grad(), {.window = 3, .stride = 2, .padding = 1});
  EXPECT_EQ(y.to_host(), std::vector<float>(3, -5));
  EXPECT_EQ(to_array(grad(y, {x})[0])(0, 0, 0, 0), 1) << "the first pixel inside the image";
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(max_pool(Tensor::full({1, 2, 2, 3}, -inf, device()), {.window = 3, .stride = 2, .padding = 1})
                .to_host(),
            std::vector<float>(3, -inf));
}

TEST_P(MaxPool, LetsTheFirstNanWin) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor x = Tensor::from_host({1, 2, 4, 1}, std::vector<float>{nan, 1, 1, nan, 3, 4, nan, 9}, device());
  const Tensor y = max_pool(x.require_grad(), {});
  for (const float value : y.to_host())
    EXPECT_TRUE(std::isnan(value)) << value;
  EXPECT_EQ(grad(y, {x})[0].to_host(), (std::vector<float>{1, 0, 0, 1, 0, 0, 0, 0}));
}

TEST_P(MaxPool, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({1, 20, 20, 2}, device());
  EXPECT_THROW(max_pool(x, {.window = 3, .stride = 1, .padding = 2}), Error) << "padding above window/2";
  EXPECT_THROW(max_pool(x, {.window = 3, .stride = 1, .padding = -1}), Error);
  EXPECT_THROW(max_pool(x, {.window = 16, .stride = 1}), Error) << "a window above 15";
  EXPECT_THROW(max_pool(x, {.window = 0, .stride = 1}), Error);
  EXPECT_THROW(max_pool(x, {.window = 2, .stride = 0}), Error);
  EXPECT_THROW(max_pool(Tensor::zeros({1, 2, 9, 1}, device()), {.window = 3, .stride = 1}), Error);
  EXPECT_THROW(max_pool(Tensor::zeros({0, 4, 4, 1}, device()), {}), Error) << "an empty batch";
  EXPECT_THROW(max_pool(Tensor::zeros({4, 4, 1}, device()), {}), Error);
  EXPECT_THROW(max_pool(Tensor::zeros({1, 4, 4, 1}, device(), DType::u8), {}), Error);
}

TEST_P(GlobalAveragePool, MatchesReferenceAtEverySize) {
  const std::vector<Shape> shapes{{1, 1, 1, 1}, {2, 3, 5, 7},   {3, 7, 7, 33}, {1, 4, 4, 129},
                                  {5, 1, 1, 3}, {1, 33, 31, 2}, {2, 8, 8, 64}};
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : shapes)
      check_op(
          device(), {{uniform(shape, 1, -1, 1, dtype), dtype}},
          [](const auto& in) { return global_average_pool(in[0]); },
          [](const auto& in) { return reference::global_average_pool(in[0]); });
}

TEST_P(GlobalAveragePool, IsF32WhateverItsInputIs) {
  const Tensor x = Tensor::full({1, 2, 2, 3}, 1, device(), DType::bf16);
  EXPECT_EQ(global_average_pool(x).dtype(), DType::f32);
}

TEST_P(GlobalAveragePool, RefusesWhatDoesNotFit) {
  EXPECT_THROW(global_average_pool(Tensor::zeros({4, 4, 1}, device())), Error);
  EXPECT_THROW(global_average_pool(Tensor::zeros({0, 4, 4, 1}, device())), Error) << "an empty batch";
  EXPECT_THROW(global_average_pool(Tensor::zeros({1, 0, 4, 1}, device())), Error) << "an empty image";
  EXPECT_THROW(global_average_pool(Tensor::zeros({1, 4, 4, 1}, device(), DType::u8)), Error);
}

TEST_P(Subsample, MatchesReferenceAtEverySize) {
  struct Case {
    Shape shape;
    int channels, stride;
  };
  const std::vector<Case> cases{{{1, 1, 1, 1}, 1, 1},  {{2, 7, 5, 3}, 5, 2},   {{1, 8, 8, 16}, 32, 2},
                                {{2, 5, 6, 4}, 10, 3}, {{1, 3, 3, 33}, 65, 2}, {{1, 4, 5, 2}, 2, 2},
                                {{1, 4, 5, 3}, 7, 1},  {{3, 2, 2, 64}, 130, 5}};
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Case& c : cases) {
      SCOPED_TRACE(concat("x ", c.shape, ", channels ", c.channels, ", stride ", c.stride));
      check_op(
          device(), {{uniform(c.shape, 1, -1, 1, dtype), dtype}},
          [&](const auto& in) { return subsample(in[0], c.channels, c.stride); },
          [&](const auto& in) { return reference::subsample(in[0], c.channels, c.stride); },
          {.f32 = {1e-7, 0}, .bf16 = {1e-7, 0}});  // copies; 1e-7 is for the error of the differences
    }
}

TEST_P(Subsample, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({1, 4, 4, 4}, device());
  EXPECT_THROW(subsample(x, 2, 1), Error) << "fewer channels";
  EXPECT_THROW(subsample(x, 7, 1), Error) << "an odd number of new channels";
  EXPECT_THROW(subsample(x, 4, 0), Error);
  EXPECT_THROW(subsample(Tensor::zeros({0, 4, 4, 4}, device()), 4, 1), Error) << "an empty batch";
  EXPECT_THROW(subsample(Tensor::zeros({4, 4, 4}, device()), 4, 1), Error);
}

}  // namespace
}  // namespace clx::tests
