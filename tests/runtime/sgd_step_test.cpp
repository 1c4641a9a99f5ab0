#include "runtime/ops/sgd_step.h"

#include "runtime/autograd.h"
#include "runtime/ops/linear.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/sgd.h"

namespace clx::tests {
namespace {

// Gives `theta` the gradient `g`.
void set_gradient(Tensor& theta, const Tensor& g) {
  theta.clear_grad();
  // Σ theta·g as a product of a row and a column.
  const std::int64_t n = theta.size();
  backward(matmul(theta.reshape({1, n}), g.reshape({n, 1})));
}

class SgdStep : public DeviceTest {
 protected:
  // A scalar from 1, with the gradient 2·theta·(1, or −1/2 in every third step) + 0.1·t in step t.
  static void check_golden(const SgdOptions& options, const std::vector<double>& expected) {
    std::vector<Tensor> parameters{Tensor::full({1}, 1, device())}, buffers;
    parameters[0].require_grad();
    Step step(device());
    step.set_learning_rate(0.1f);
    for (int t = 1; t <= static_cast<int>(expected.size()); ++t) {
      step.set_step(t - 1);
      const float theta = parameters[0].item();
      const float g = 2 * theta * (t % 3 ? 1.0f : -0.5f) + 0.1f * static_cast<float>(t);
      set_gradient(parameters[0], Tensor::full({1}, g, device()));
      sgd_step(parameters, buffers, step, options);
      EXPECT_NEAR(parameters[0].item(), expected[static_cast<std::size_t>(t - 1)], 2e-6)
          << "after step " << t;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, SgdStep, every_device(), device_name);

TEST_P(SgdStep, HasTheGoldenValues) {
  check_golden({.momentum = 0.9f, .weight_decay = 5e-4f},
               {0.789950000000, 0.422875502500, 0.104774861225, -0.242475926911, -0.556494327054,
                -0.954732495173, -1.192152610820, -1.247340585108});
}

TEST_P(SgdStep, HasTheGoldenValuesOfNesterov) {
  check_golden({.momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = true},
               {0.600905000000, 0.164363514025, -0.128120429497, -0.406443363921, -0.584514357222,
                -0.997958545658, -1.017159272835, -0.916500219839});
}

TEST_P(SgdStep, MatchesReferenceOnManyTensors) {
  const std::vector<SgdOptions> variants{{},
                                         {.weight_decay = 0.01f},
                                         {.momentum = 0.9f},
                                         {.momentum = 0.5f, .dampening = 0.25f, .weight_decay = 0.1f},
                                         {.momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = true}};
  const std::vector<Shape> shapes{{1}, {7}, {3, 3, 3, 5}, {33}, {1025}, {129, 2}};
  for (const SgdOptions& options : variants) {
    SCOPED_TRACE(concat("momentum ", options.momentum, ", dampening ", options.dampening, ", weight decay ",
                        options.weight_decay, ", nesterov ", options.nesterov));
    std::vector<Tensor> parameters, buffers;
    std::vector<Array> theta, buffer;
    for (const Shape& shape : shapes) {
      theta.push_back(uniform(shape, static_cast<unsigned>(theta.size())));
      buffer.emplace_back(shape);
      parameters.push_back(to_tensor(theta.back(), device()));
      parameters.back().require_grad();
    }
    Step step(device());
    for (int t = 0; t < 3; ++t) {
      const float lr = 0.1f / static_cast<float>(t + 1);
      step.set_learning_rate(lr);
      step.set_step(t);
      for (std::size_t i = 0; i < shapes.size(); ++i) {
        const Array g = uniform(shapes[i], static_cast<unsigned>(100 + 10 * t + static_cast<int>(i)));
        set_gradient(parameters[i], to_tensor(g, device()));
        reference::sgd_step(
            theta[i], g, buffer[i], t,
            {lr, options.momentum, options.dampening, options.weight_decay, options.nesterov});
      }
      sgd_step(parameters, buffers, step, options);
      for (std::size_t i = 0; i < shapes.size(); ++i) {
        EXPECT_TRUE(all_close(to_array(parameters[i]), theta[i], {1e-6, 1e-6})) << "step " << t;
        if (options.momentum != 0) {
          EXPECT_TRUE(all_close(to_array(buffers[i]), buffer[i], {1e-6, 1e-6})) << "step " << t;
        }
      }
    }
  }
}

TEST_P(SgdStep, CountsTheWriteAsAChange) {
  std::vector<Tensor> parameters{Tensor::full({3}, 1, device())}, buffers;
  parameters[0].require_grad();
  set_gradient(parameters[0], Tensor::full({3}, 1, device()));
  const auto before = parameters[0].version();
  sgd_step(parameters, buffers, Step(device()), {});
  EXPECT_GT(parameters[0].version(), before);
}

TEST_P(SgdStep, LeavesParametersWithoutGradientAlone) {
  std::vector<Tensor> parameters{Tensor::full({3}, 1, device()), Tensor::full({3}, 1, device())}, buffers;
  for (Tensor& p : parameters)
    p.require_grad();
  set_gradient(parameters[1], Tensor::full({3}, 1, device()));
  Step step(device());
  step.set_learning_rate(0.5f);
  sgd_step(parameters, buffers, step, {.momentum = 0.9f, .weight_decay = 1});
  EXPECT_EQ(parameters[0].to_host(), std::vector<float>(3, 1));
  EXPECT_EQ(parameters[1].to_host(), std::vector<float>(3, 0));
  EXPECT_FALSE(buffers[0].defined());
}

TEST_P(SgdStep, HasTheSameBitsInTwoRuns) {
  const auto run = [] {
    std::vector<Tensor> parameters{to_tensor(uniform({1025}, 1), device())}, buffers;
    parameters[0].require_grad();
    set_gradient(parameters[0], to_tensor(uniform({1025}, 2), device()));
    Step step(device());
    step.set_learning_rate(0.1f);
    sgd_step(parameters, buffers, step, {.momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = true});
    return bits(parameters[0]);
  };
  EXPECT_EQ(run(), run());
}

TEST_P(SgdStep, RefusesWhatDoesNotFit) {
  std::vector<Tensor> parameters{Tensor::full({3}, 1, device())};
  parameters[0].require_grad();
  set_gradient(parameters[0], Tensor::full({3}, 1, device()));
  std::vector<Tensor> two(2), wrong{Tensor::zeros({4}, device())};
  EXPECT_THROW(sgd_step(parameters, two, Step(device()), {}), Error) << "two buffers for one parameter";
  EXPECT_THROW(sgd_step(parameters, wrong, Step(device()), {.momentum = 0.9f}), Error);
  std::vector<Tensor> none;
  const Device elsewhere = device() == kCpu ? kEmulated : kCpu;
  EXPECT_THROW(sgd_step(parameters, none, Step(elsewhere), {}), Error) << "a step on another device";
}

}  // namespace
}  // namespace clx::tests
