// L-BFGS on functions whose minima are known.
#include "nn/optim/lbfgs.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "runtime/check.h"

namespace clx::nn {
namespace {

// Σ_i (10^(i/5)·(x_i − i))², conditioned as 10⁷.
double quadratic(const std::vector<double>& x, std::vector<double>* gradient) {
  gradient->assign(x.size(), 0);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double scale = std::pow(10, static_cast<double>(i) / 5), r = x[i] - static_cast<double>(i);
    sum += scale * scale * r * r;
    (*gradient)[i] = 2 * scale * scale * r;
  }
  return sum;
}

double rosenbrock(const std::vector<double>& x, std::vector<double>* gradient) {
  const double a = 1 - x[0], b = x[1] - x[0] * x[0];
  *gradient = {-2 * a - 400 * x[0] * b, 200 * b};
  return a * a + 100 * b * b;
}

TEST(Lbfgs, finds_the_minimum_of_an_ill_conditioned_quadratic) {
  const Minimum m =
      minimize(quadratic, std::vector<double>(18, 0), {.tolerance = 1e-6, .max_iterations = 2000});
  EXPECT_TRUE(m.converged);
  EXPECT_LE(m.gradient, 1e-6);    // one unit in the last place of x[17] changes it by 5e-8
  EXPECT_LT(m.iterations, 1200);  // scipy 1.17 takes 654 with as much memory
  EXPECT_GE(m.evaluations, m.iterations);
  for (std::size_t i = 0; i < m.x.size(); ++i)
    EXPECT_NEAR(m.x[i], static_cast<double>(i), 1e-6);
}

TEST(Lbfgs, follows_a_curved_valley) {
  const Minimum m = minimize(rosenbrock, {-1.2, 1}, {.tolerance = 1e-10});
  EXPECT_TRUE(m.converged);
  EXPECT_LT(m.iterations, 60);
  EXPECT_NEAR(m.x[0], 1, 1e-9);
  EXPECT_NEAR(m.x[1], 1, 1e-9);
}

TEST(Lbfgs, stays_where_the_gradient_vanishes) {
  const Minimum m = minimize(rosenbrock, {1, 1});
  EXPECT_TRUE(m.converged);
  EXPECT_EQ(m.iterations, 0);
  EXPECT_EQ(m.evaluations, 1);
}

TEST(Lbfgs, says_when_it_did_not_get_there) {
  EXPECT_FALSE(minimize(rosenbrock, {-1.2, 1}, {.max_iterations = 5}).converged);
  EXPECT_EQ(minimize(rosenbrock, {-1.2, 1}, {.max_iterations = 5}).iterations, 5);
  // No gradient is as small as this: it ends where rounding hides the descent.
  const auto lifted = [](const std::vector<double>& x, std::vector<double>* gradient) {
    return 1 + quadratic(x, gradient);
  };
  const Minimum m = minimize(lifted, std::vector<double>(18, 0.5), {.tolerance = 0, .max_iterations = 5000});
  EXPECT_FALSE(m.converged);
  EXPECT_LT(m.iterations, 5000);
  EXPECT_NEAR(m.x[17], 17, 1e-8);
}

TEST(Lbfgs, refuses_a_start_without_a_value) {
  const auto nothing = [](const std::vector<double>& x, std::vector<double>* gradient) {
    *gradient = x;
    return std::numeric_limits<double>::quiet_NaN();
  };
  EXPECT_THROW(minimize(nothing, {1.0}), Error);
}

}  // namespace
}  // namespace clx::nn
