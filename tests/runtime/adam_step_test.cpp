#include <gtest/gtest.h>

#include "kernels/adam_coefficients.h"
#include "runtime/autograd.h"
#include "runtime/ops/adamw_step.h"
#include "runtime/ops/radam_step.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/adam.h"

namespace clx::tests {
namespace {

enum class Kind { adamw, radam };

// Some parameters with what an optimizer keeps of them.
struct Optimized {
  explicit Optimized(std::vector<Tensor> tensors)
      : parameters(std::move(tensors)), step(parameters[0].device()) {
    for (Tensor& p : parameters)
      p.require_grad();
  }

  // Gives parameter i the gradient `g` by way of the tape.
  void set_gradient(std::size_t i, const Tensor& g) {
    parameters[i].clear_grad();
    backward(record("test", Tensor::zeros({}, g.device()), {parameters[i]},
                    [g](const Tensor&, const Needs&) { return std::vector{g}; }));
  }

  void update(Kind kind, int t, float lr, const reference::AdamOptions& o) {
    step.set_learning_rate(lr);
    step.set_step(t - 1);
    if (kind == Kind::adamw)
      adamw_step(parameters, means, squares, step, {o.beta1, o.beta2, o.epsilon, o.weight_decay});
    else
      radam_step(parameters, means, squares, step,
                 {o.beta1, o.beta2, o.epsilon, o.weight_decay, o.decoupled});
  }

  std::vector<Tensor> parameters, means, squares;
  Step step;
};

class AdamStep : public DeviceTest {
 protected:
  // A scalar from 1, with the gradient 2·theta·(1, or −1/2 in every third step) + 0.1·t in step t.
  static void check_golden(Kind kind, const std::vector<double>& expected) {
    Optimized o({Tensor::full({1}, 1, device())});
    for (int t = 1; t <= static_cast<int>(expected.size()); ++t) {
      const float theta = o.parameters[0].item();
      const float g = 2 * theta * (t % 3 != 0 ? 1.0f : -0.5f) + 0.1f * static_cast<float>(t);
      o.set_gradient(0, Tensor::full({1}, g, device()));
      o.update(kind, t, 1e-3f, {.weight_decay = 1e-4});
      EXPECT_NEAR(o.parameters[0].item(), expected[static_cast<std::size_t>(t - 1)], 2.5e-7)
          << "after step " << t;
    }
  }

  // Seven steps over tensors of many sizes, so that RAdam is seen on both sides of its threshold.
  static void check_reference(Kind kind, reference::AdamOptions options) {
    const std::vector<Shape> shapes{{1}, {7}, {3, 3, 3, 5}, {33}, {4097}, {129, 2}};
    std::vector<Array> theta, mean, square;
    std::vector<Tensor> parameters;
    for (const Shape& shape : shapes) {
      theta.push_back(uniform(shape, static_cast<unsigned>(theta.size())));
      mean.emplace_back(shape);
      square.emplace_back(shape);
      parameters.push_back(to_tensor(theta.back(), device()));
    }
    Optimized o(parameters);
    for (int t = 1; t <= 7; ++t) {
      const float lr = 0.1f / static_cast<float>(t);
      options.learning_rate = lr;
      for (std::size_t i = 0; i < shapes.size(); ++i) {
        const Array g = uniform(shapes[i], static_cast<unsigned>(100 * t) + static_cast<unsigned>(i));
        o.set_gradient(i, to_tensor(g, device()));
        if (kind == Kind::adamw)
          reference::adamw_step(theta[i], g, mean[i], square[i], t, options);
        else
          reference::radam_step(theta[i], g, mean[i], square[i], t, options);
      }
      o.update(kind, t, lr, options);
      for (std::size_t i = 0; i < shapes.size(); ++i) {
        EXPECT_TRUE(all_close(to_array(o.parameters[i]), theta[i], {1e-6, 1e-6})) << "theta, step " << t;
        EXPECT_TRUE(all_close(to_array(o.means[i]), mean[i], {2e-7, 1e-6})) << "mean, step " << t;
        EXPECT_TRUE(all_close(to_array(o.squares[i]), square[i], {1e-9, 1e-6})) << "square, step " << t;
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, AdamStep, every_device(), device_name);

TEST_P(AdamStep, AdamwHasTheGoldenValues) {
  check_golden(Kind::adamw, {0.998999900005, 0.997998871613, 0.997387760304, 0.996636679613, 0.995808336064,
                             0.995141255637, 0.994383588188, 0.993562439149});
}

TEST_P(AdamStep, RadamHasTheGoldenValues) {
  check_golden(Kind::radam, {0.997899900000, 0.995749379163, 0.994649105795, 0.993173978020, 0.991451891806,
                             0.991434656166, 0.991409843463, 0.991378027646});
}

TEST_P(AdamStep, AdamwMatchesReferenceOnManyTensors) {
  check_reference(Kind::adamw, {});
  check_reference(Kind::adamw, {.beta1 = 0.8, .beta2 = 0.95, .epsilon = 0.01, .weight_decay = 0.3});
}

TEST_P(AdamStep, RadamMatchesReferenceOnManyTensors) {
  check_reference(Kind::radam, {.weight_decay = 0.1});
  check_reference(Kind::radam,
                  {.beta1 = 0.8, .beta2 = 0.95, .epsilon = 0.01, .weight_decay = 0.3, .decoupled = true});
}

// A mean that is too short for any rectification.
TEST_P(AdamStep, RadamIsNeverRectifiedWithASmallBeta) {
  check_reference(Kind::radam, {.beta2 = 0.5});
}

TEST_P(AdamStep, CountsTheWriteAsAChange) {
  for (const Kind kind : {Kind::adamw, Kind::radam}) {
    Optimized o({Tensor::full({3}, 1, device())});
    o.set_gradient(0, Tensor::full({3}, 1, device()));
    const auto before = o.parameters[0].version();
    o.update(kind, 1, 0.1f, {});
    EXPECT_GT(o.parameters[0].version(), before);
  }
}

TEST_P(AdamStep, LeavesParametersWithoutGradientAlone) {
  for (const Kind kind : {Kind::adamw, Kind::radam}) {
    Optimized o({Tensor::full({3}, 1, device()), Tensor::full({3}, 1, device())});
    o.set_gradient(1, Tensor::full({3}, 1, device()));
    const auto before = o.parameters[0].version();
    o.update(kind, 1, 0.5f, {.weight_decay = 1});
    EXPECT_EQ(o.parameters[0].to_host(), std::vector<float>(3, 1));
    EXPECT_EQ(o.parameters[0].version(), before);
    EXPECT_FALSE(o.means[0].defined());
    EXPECT_FALSE(o.squares[0].defined());
    EXPECT_NE(o.parameters[1].to_host(), std::vector<float>(3, 1));
  }
}

TEST_P(AdamStep, HasTheSameBitsInTwoRuns) {
  for (const Kind kind : {Kind::adamw, Kind::radam}) {
    const auto run = [kind] {
      Optimized o({to_tensor(uniform({1025}, 1), device())});
      o.set_gradient(0, to_tensor(uniform({1025}, 2), device()));
      for (const int t : {1, 2, 6})
        o.update(kind, t, 0.1f, {.weight_decay = 0.01});
      return bits(o.parameters[0]);
    };
    EXPECT_EQ(run(), run());
  }
}

// Long after the start nothing is left of the bias corrections; the step count is far beyond a float's.
TEST_P(AdamStep, WorksAfterManySteps) {
  for (const Kind kind : {Kind::adamw, Kind::radam}) {
    Optimized o({Tensor::full({1}, 1, device())});
    o.set_gradient(0, Tensor::full({1}, 1, device()));
    o.means.push_back(Tensor::full({1}, 1, device()));
    o.squares.push_back(Tensor::full({1}, 1, device()));
    o.update(kind, 20'000'001, 0.25f, {});
    EXPECT_NEAR(o.parameters[0].item(), 0.75, 1e-6);
  }
}

TEST_P(AdamStep, RefusesWhatDoesNotFit) {
  for (const Kind kind : {Kind::adamw, Kind::radam}) {
    Optimized o({Tensor::full({3}, 1, device())});
    o.set_gradient(0, Tensor::full({3}, 1, device()));
    o.means.resize(2);
    EXPECT_THROW(o.update(kind, 1, 0.1f, {}), Error) << "two means for one parameter";
    o.means = {Tensor::zeros({4}, device())};
    EXPECT_THROW(o.update(kind, 1, 0.1f, {}), Error) << "a mean of another shape";
    o.means.clear();
    o.squares = {Tensor::zeros({3}, device(), DType::i32)};
    EXPECT_THROW(o.update(kind, 1, 0.1f, {}), Error) << "squares of another type";
    o.squares.clear();
    o.step = Step(device() == kCpu ? kEmulated : kCpu);
    EXPECT_THROW(o.update(kind, 1, 0.1f, {}), Error) << "a step on another device";
  }
}

// Appendix A.9's table.
TEST(Rectification, HasTheGoldenValues) {
  const std::vector<double> rho{1.000000, 1.999500, 2.998666, 3.997499, 4.995998, 5.994164};
  for (std::size_t i = 0; i < rho.size(); ++i) {
    const auto got = kernels::rectification(static_cast<std::int64_t>(i) + 1, 0.999);
    EXPECT_NEAR(got.rho, rho[i], 6e-7);
    EXPECT_NEAR(got.r, i < 5 ? 0 : 0.0258211, 5e-8);
  }
  const auto r = [](std::int64_t t) { return kernels::rectification(t, 0.999).r; };
  EXPECT_NEAR(r(10), 0.0489980, 5e-8);
  EXPECT_NEAR(r(100), 0.215335, 5e-7);
  EXPECT_NEAR(r(1000), 0.645326, 5e-7);
  EXPECT_NEAR(r(5000), 0.982878, 5e-7);
  EXPECT_NEAR(r(20000), 1.0, 5e-7);
}

TEST(Rectification, PowersBySquaringAreThoseOfTheMathLibrary) {
  for (const std::int64_t n : {0, 1, 2, 3, 7, 10, 1000, 97500})
    EXPECT_NEAR(kernels::power(0.999, n) / std::pow(0.999, static_cast<double>(n)), 1, 1e-10) << n;
}

}  // namespace
}  // namespace clx::tests
