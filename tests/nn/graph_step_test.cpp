// Whole training steps of a small residual network, captured and replayed.
#include <gtest/gtest.h>

#include "nn/models/resnet.h"
#include "nn/optim/optimizer.h"
#include "runtime/autograd.h"
#include "runtime/graph.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/supcon.h"
#include "tests/arrays.h"
#include "tests/devices.h"
#include "tests/nn/closed_form.h"

namespace clx::nn {
namespace {

using Bytes = std::vector<std::vector<std::uint8_t>>;

// All tensors of the network after three steps, the last with another learning rate, and of the step.
Bytes after_steps(Device device, GraphMode graph, bool contrastive, const std::string& optimizer_name) {
  const auto model = make_model(
      "resnet20", {.width = 0.25, .head = contrastive ? Head::projection : Head::classifier, .projection = 8},
      1, device);
  model->train(true);
  const auto optimizer = make_optimizer(optimizer_name, model->parameters(), {.momentum = 0.9f});
  Step step(device);
  const Tensor none_correct = Tensor::zeros({}, device, DType::i32);
  Replayed train(device, graph, [&](const std::vector<Tensor>& batch) {
    Tensor loss, correct = none_correct;
    if (contrastive) {
      loss = supcon(l2_normalize(model->projection(model->features(batch[0]))), batch[1], {});
    } else {
      const CrossEntropy ce = cross_entropy(model->forward(batch[0]), batch[1]);
      loss = ce.loss;
      correct = ce.correct;
    }
    optimizer->clear_gradients();
    backward(loss);
    optimizer->step(step);
    step.advance(2, loss, correct);
    return std::vector<Tensor>{};
  });
  for (int i = 0; i < 3; ++i) {
    step.set_learning_rate(i < 2 ? 0.1f : 0.01f);
    train({tests::images(2, 8, device), tests::labels(2, contrastive ? 1 : 10, device)});
  }
  EXPECT_EQ(train.captured(), graph == GraphMode::on && device.kind != DeviceKind::cpu);
  Bytes all{tests::bits(step.state())};
  model->visit([&](const Entry& e) { all.push_back(tests::bits(*e.tensor)); });
  return all;
}

class GraphStep : public tests::DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, GraphStep, tests::every_device(), tests::device_name);

TEST_P(GraphStep, CrossEntropyHasThePlainStepsBits) {
  EXPECT_TRUE(after_steps(device(), GraphMode::on, false, "sgd") ==
              after_steps(device(), GraphMode::off, false, "sgd"));
}

TEST_P(GraphStep, SupConHasThePlainStepsBits) {
  EXPECT_TRUE(after_steps(device(), GraphMode::on, true, "radam") ==
              after_steps(device(), GraphMode::off, true, "radam"));
}

}  // namespace
}  // namespace clx::nn
