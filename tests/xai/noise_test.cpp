#include "xai/explain/noise.h"

#include <cmath>
#include <gtest/gtest.h>

#include "runtime/check.h"

namespace clx::xai {
namespace {

TEST(GaussianNoise, DependsOnSeedAndSampleOnly) {
  const Tensor both = gaussian_noise({3, 8}, 5, 7, 3, 0.5f, 1), one = gaussian_noise({8}, 5, 7, 3, 0.5f, 1);
  EXPECT_EQ(both.slice(1, 2).to_host(), one.to_host());
  EXPECT_NE(one.to_host(), gaussian_noise({8}, 5, 7, 3, 0.5f, 2).to_host());
  EXPECT_NE(one.to_host(), gaussian_noise({3}, 5, 7, 3, 0.5f, 1).to_host());
}

TEST(GaussianNoise, HasTheDeviationAskedFor) {
  const std::vector<float> noise = gaussian_noise({0, 1, 2, 3}, 50, 50, 3, 0.02f, 0).to_host();
  double sum = 0, squares = 0;
  for (const float v : noise) {
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  const auto n = static_cast<double>(noise.size());
  EXPECT_NEAR(sum / n, 0, 5 * 0.02 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(squares / n), 0.02, 5 * 0.02 / std::sqrt(2 * n));
}

TEST(AddNoise, CutsOffAtTheBoundsOfEachChannel) {
  const Tensor x = Tensor::from_host({1, 1, 2, 2}, std::vector<float>{0, 0, 1, -1});
  const Tensor noise = Tensor::from_host({1, 1, 2, 2}, std::vector<float>{0.5f, 0.5f, 0.5f, -0.5f});
  EXPECT_EQ(add_noise(x, noise).to_host(), (std::vector<float>{0.5f, 0.5f, 1.5f, -1.5f}));
  EXPECT_EQ(add_noise(x, noise, {.low = {0, -1}, .high = {1, 0.25f}}).to_host(),
            (std::vector<float>{0.5f, 0.25f, 1, -1}));
}

TEST(AddNoise, RefusesOtherShapes) {
  const Tensor x = Tensor::zeros({1, 2, 2, 3});
  EXPECT_THROW(add_noise(x, Tensor::zeros({1, 3, 2, 2})), Error);
  EXPECT_THROW(add_noise(x, Tensor::zeros({1, 2, 2, 3}), {.low = {0}, .high = {1}}), Error);
  EXPECT_THROW(gaussian_noise({}, 2, 2, 3, 1, 0), Error);
  EXPECT_THROW(gaussian_noise({0}, 2, 2, 3, -1, 0), Error);
}

}  // namespace
}  // namespace clx::xai
