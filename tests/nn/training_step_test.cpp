// A whole training step of a small residual network on every device.
#include <gtest/gtest.h>

#include "nn/models/resnet.h"
#include "nn/optim/sgd.h"
#include "runtime/autograd.h"
#include "runtime/ops/cross_entropy.h"
#include "tests/devices.h"
#include "tests/nn/closed_form.h"

namespace clx::nn {
namespace {

struct Result {
  float loss;
  std::vector<std::string> names;
  std::vector<std::vector<float>> gradients, tensors;  // of parameters; of parameters and buffers afterwards
};

Result one_step(Device device) {
  const auto model = make_model("resnet20", {.width = 0.25}, 1, device);
  model->train(true);
  Sgd sgd(model->parameters(), {.momentum = 0.9f, .weight_decay = 5e-4f});
  Step step(device);
  step.set_learning_rate(0.1f);
  const CrossEntropy ce =
      cross_entropy(model->forward(tests::images(4, 16, device)), tests::labels(4, 10, device));
  backward(ce.loss);
  sgd.step(step);
  step.advance(4, ce.loss, ce.correct);
  Result result{ce.loss.item(), {}, {}, {}};
  model->visit([&](const Entry& e) {
    if (e.role == Role::counter) return;
    result.names.push_back(e.name);
    result.gradients.push_back(e.role == Role::parameter ? e.tensor->grad().to_host() : std::vector<float>{});
    result.tensors.push_back(e.tensor->to_host());
  });
  EXPECT_EQ(step.read().step, 1);
  return result;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  float size = 1e-6f;
  for (const float v : expected)
    size = std::max(size, std::fabs(v));
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], 5e-5f * size) << what << " at " << i;
}

class TrainingStep : public tests::DeviceTest {};

// Sums in another order through 20 layers and back: single precision gives about 1e-5 of the largest value.
TEST_P(TrainingStep, is_the_same_as_on_the_cpu) {
  const Result reference = one_step(kCpu), got = one_step(device());
  EXPECT_NEAR(got.loss, reference.loss, 1e-5f * reference.loss);
  for (std::size_t i = 0; i < reference.names.size(); ++i) {
    expect_near(got.gradients[i], reference.gradients[i], "gradient of " + reference.names[i]);
    expect_near(got.tensors[i], reference.tensors[i], reference.names[i] + " after the step");
  }
}

TEST_P(TrainingStep, gives_the_same_bits_twice) {
  const Result a = one_step(device()), b = one_step(device());
  EXPECT_EQ(a.tensors, b.tensors);
}

INSTANTIATE_TEST_SUITE_P(Devices, TrainingStep, tests::every_device(), tests::device_name);

}  // namespace
}  // namespace clx::nn
