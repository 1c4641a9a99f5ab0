// Logistic regression in double: values by hand, gradients by differences, the same bits on any threads.
#include "runtime/softmax_regression.h"

#include <cmath>
#include <gtest/gtest.h>

#include "runtime/check.h"
#include "runtime/random.h"
#include "runtime/threads.h"

namespace clx {
namespace {

struct Case {
  Tensor x;
  std::vector<std::int32_t> labels;
  std::vector<double> parameters;
};

Case make(std::int64_t N, std::int64_t D, int K) {
  Random random(1, Purpose::test);
  Case c{Tensor({N, D}), {}, {}};
  for (std::int64_t i = 0; i < N * D; ++i)
    c.x.mutable_data()[i] = random.normal();
  for (std::int64_t i = 0; i < N; ++i)
    c.labels.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(K))));
  for (std::int64_t p = 0; p < K * (D + 1); ++p)
    c.parameters.push_back(static_cast<double>(random.normal()));
  return c;
}

TEST(SoftmaxRegression, is_the_mean_cross_entropy_and_half_the_squared_length) {
  const Case c = make(1031, 7, 3);  // three ranges of samples, the last one short
  const SoftmaxRegression f(c.x, c.labels, 3, 0.25);
  EXPECT_EQ(f.parameters(), 24);
  double expected = 0;
  for (std::size_t i = 0; i < 1031; ++i) {
    double z[3], sum = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      z[k] = c.parameters[21 + k];
      for (std::size_t d = 0; d < 7; ++d)
        z[k] += c.parameters[k * 7 + d] * static_cast<double>(c.x.data()[i * 7 + d]);
      sum += std::exp(z[k]);
    }
    expected += (std::log(sum) - z[c.labels[i]]) / 1031;
  }
  for (const double p : c.parameters)
    expected += 0.125 * p * p;
  std::vector<double> gradient;
  EXPECT_NEAR(f(c.parameters, &gradient), expected, 1e-12);
}

TEST(SoftmaxRegression, has_the_gradient_that_differences_show) {
  Case c = make(13, 5, 4);
  const SoftmaxRegression f(c.x, c.labels, 4, 0.1);
  std::vector<double> gradient, ignored;
  f(c.parameters, &gradient);
  constexpr double kStep = 1e-5;
  for (std::size_t p = 0; p < c.parameters.size(); ++p) {
    const double before = c.parameters[p];
    c.parameters[p] = before + kStep;
    const double up = f(c.parameters, &ignored);
    c.parameters[p] = before - kStep;
    const double down = f(c.parameters, &ignored);
    c.parameters[p] = before;
    EXPECT_NEAR(gradient[p], (up - down) / (2 * kStep), 1e-9) << p;
  }
}

TEST(SoftmaxRegression, stays_finite_at_large_scores) {
  const SoftmaxRegression f(Tensor::full({1, 1}, 1), {1}, 2);
  std::vector<double> gradient;
  EXPECT_DOUBLE_EQ(f({2000, -2000, 0, 0}, &gradient), 4000);
  EXPECT_DOUBLE_EQ(gradient[0], 1);
}

TEST(SoftmaxRegression, gives_the_same_bits_with_any_number_of_threads) {
  const Case c = make(2100, 33, 10);
  const SoftmaxRegression f(c.x, c.labels, 10, 1e-4);
  const int before = threads();
  std::vector<double> one, three;
  set_threads(1);
  const double a = f(c.parameters, &one);
  set_threads(3);
  const double b = f(c.parameters, &three);
  set_threads(before);
  EXPECT_EQ(a, b);
  EXPECT_EQ(one, three);
}

TEST(SoftmaxRegression, refuses_what_does_not_fit) {
  EXPECT_THROW(SoftmaxRegression(Tensor::zeros({2, 3}), {0}, 2), Error);
  EXPECT_THROW(SoftmaxRegression(Tensor::zeros({2, 3}), {0, 2}, 2), Error);
  EXPECT_THROW(SoftmaxRegression(Tensor::zeros({6}), {0}, 2), Error);
  std::vector<double> gradient;
  EXPECT_THROW(SoftmaxRegression(Tensor::zeros({1, 3}), {0}, 2)({1, 2}, &gradient), Error);
}

}  // namespace
}  // namespace clx
