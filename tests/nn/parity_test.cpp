// The networks against PyTorch: tests/fixtures/models.json, made by make_models.py.
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

#include "nn/models/resnet.h"
#include "nn/optim/sgd.h"
#include "runtime/autograd.h"
#include "runtime/ops/cross_entropy.h"
#include "tests/nn/closed_form.h"
#include "tests/paths.h"

namespace clx::nn {
namespace {

using nlohmann::json;

const json& fixture(std::size_t index) {
  static const json all = json::parse(std::ifstream(tests::fixture("models.json")));
  return all.at(index);
}

// The largest difference, relative to the largest expected value.
double deviation(const std::vector<double>& got, const std::vector<double>& expected) {
  EXPECT_EQ(got.size(), expected.size());
  double difference = 0, size = 1e-30;
  for (std::size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    difference = std::max(difference, std::fabs(got[i] - expected[i]));
    size = std::max(size, std::fabs(expected[i]));
  }
  return difference / size;
}

std::vector<double> values_of(const Tensor& t) {
  const auto values = t.to_host();
  return {values.begin(), values.end()};
}

// The fixtures are computed in double. PyTorch's own single precision differs from them by at most 1.4e-6
// (forward) and 8e-6 (gradients), as make_models.py prints; the tolerances are about seven times that. Over
// ten steps a single activation whose sign is rounded otherwise moves a loss by some 1e-4, in PyTorch too.
struct Case {
  std::size_t index;
  double forward, gradient, training;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << fixture(c.index)["arch"] << " " << fixture(c.index)["shortcut"];
}

class Parity : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const json& f = expected_ = fixture(GetParam().index);
    model_ = make_model(f["arch"],
                        {.classes = f["classes"],
                         .width = f["width"],
                         .shortcut = f["shortcut"] == "A" ? Shortcut::subsample : Shortcut::projection},
                        std::nullopt);
    tests::fill(*model_, f["arch"] == "resnet50");
    x_ = tests::images(f["batch"], f["size"]);
    y_ = tests::labels(f["batch"], f["classes"]);
  }
  std::vector<double> expected(const char* key) const { return expected_[key].get<std::vector<double>>(); }

  json expected_;
  std::unique_ptr<Model> model_;
  Tensor x_, y_;
};

TEST_P(Parity, evaluates_to_pytorchs_logits) {
  const NoGrad no_grad;
  const double d = deviation(values_of(model_->forward(x_)), expected("eval_logits"));
  RecordProperty("deviation", std::to_string(d));
  EXPECT_LT(d, GetParam().forward);
}

TEST_P(Parity, has_pytorchs_loss_gradients_and_statistics_in_training) {
  model_->train(true);
  const Tensor logits = model_->forward(x_);
  EXPECT_LT(deviation(values_of(logits), expected("train_logits")), GetParam().forward);
  backward(cross_entropy(logits, y_).loss);
  std::uint32_t parameters = 0, buffers = 0;
  double worst = 0;
  model_->visit([&](const Entry& e) {
    if (e.role == Role::counter) return;
    const bool trained = e.role == Role::parameter;
    const json& part = expected_[trained ? "gradients" : "buffers"];
    ASSERT_TRUE(part.contains(e.name)) << e.name;
    const Tensor t = trained ? e.tensor->grad() : *e.tensor;
    ASSERT_TRUE(t.defined()) << e.name;
    const double d =
        deviation(tests::summary(t, e.filters, trained ? parameters++ : buffers++), part[e.name]);
    worst = std::max(worst, d);
    EXPECT_LT(d, trained ? GetParam().gradient : GetParam().forward) << e.name;
  });
  EXPECT_EQ(parameters, expected_["gradients"].size());
  EXPECT_EQ(buffers, expected_["buffers"].size());
  std::cout << "  largest deviation " << worst << "\n";
}

TEST_P(Parity, trains_ten_steps_as_pytorch_does) {
  model_->train(true);
  Sgd sgd(model_->parameters(), {.momentum = 0.9f, .weight_decay = 5e-4f});
  Step step;
  step.set_learning_rate(expected_["lr"].get<float>());
  std::vector<double> losses;
  for (int i = 0; i < 10; ++i) {
    const CrossEntropy ce = cross_entropy(model_->forward(x_), y_);
    losses.push_back(ce.loss.item());
    sgd.clear_gradients();
    backward(ce.loss);
    sgd.step(step);
    step.advance(static_cast<int>(x_.dim(0)), ce.loss, ce.correct);
  }
  const double d = deviation(losses, expected("losses"));
  EXPECT_LT(d, GetParam().training);
  std::cout << "  losses " << losses.front() << " … " << losses.back() << ", largest deviation " << d << "\n";
}

INSTANTIATE_TEST_SUITE_P(Networks,
                         Parity,
                         testing::Values(Case{0, 1e-5, 5e-5, 1e-3},
                                         Case{1, 1e-5, 5e-5, 1e-3},
                                         Case{2, 1e-5, 5e-5, 1e-3},
                                         Case{3, 1e-5, 5e-5, 1e-3}),
                         [](const auto& info) {
                           const json& f = fixture(info.param.index);
                           std::string name = f["arch"].get<std::string>() + f["shortcut"].get<std::string>();
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace clx::nn
