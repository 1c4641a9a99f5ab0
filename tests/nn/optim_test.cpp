// Optimizers' golden values, states and refusals; schedules.
#include <gtest/gtest.h>

#include "nn/models/resnet.h"
#include "nn/optim/adam.h"
#include "nn/optim/schedule.h"
#include "nn/optim/sgd.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/cross_entropy.h"
#include "tests/nn/closed_form.h"

namespace clx::nn {
namespace {

// Sets a one-element parameter's gradient by way of the tape.
void give_gradient(const Tensor& parameter, float gradient) {
  const Tensor y = record("test", Tensor::zeros({}), {parameter}, [gradient](const Tensor&, const Needs&) {
    return std::vector{Tensor::full({}, gradient)};
  });
  backward(y);
}

// Eight steps with the gradient 2θ(1 or −½) + 0.1t.
std::vector<float> path_of(const SgdOptions& options) {
  Tensor theta = Tensor::full({}, 1);
  theta.require_grad();
  Sgd sgd({theta}, options);
  Step step;
  step.set_learning_rate(0.1f);
  std::vector<float> path;
  for (int t = 1; t <= 8; ++t) {
    sgd.clear_gradients();
    give_gradient(theta, 2 * theta.item() * (t % 3 != 0 ? 1.0f : -0.5f) + 0.1f * static_cast<float>(t));
    step.set_step(t - 1);
    sgd.step(step);
    path.push_back(theta.item());
  }
  return path;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], 1e-6) << "step " << i + 1;
}

TEST(Sgd, follows_pytorch_with_momentum_and_weight_decay) {
  expect_near(path_of({.momentum = 0.9f, .weight_decay = 5e-4f}),
              {0.789950000000, 0.422875502500, 0.104774861225, -0.242475926911, -0.556494327054,
               -0.954732495173, -1.192152610820, -1.247340585108});
}

TEST(Sgd, follows_pytorch_with_nesterov) {
  expect_near(path_of({.momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = true}),
              {0.600905000000, 0.164363514025, -0.128120429497, -0.406443363921, -0.584514357222,
               -0.997958545658, -1.017159272835, -0.916500219839});
}

TEST(Sgd, goes_on_from_its_state_as_if_uninterrupted) {
  const auto model = make_model("resnet20", {.width = 0.25});
  const auto copy = make_model("resnet20", {.width = 0.25});
  const Tensor x = tests::images(4, 8), y = tests::labels(4, 10);
  const SgdOptions options{.momentum = 0.9f};
  Sgd sgd(model->parameters(), options);
  Step step;
  step.set_learning_rate(0.1f);
  const auto train = [&](Model& m, Sgd& s) {
    s.clear_gradients();
    const CrossEntropy ce = cross_entropy(m.forward(x), y);
    backward(ce.loss);
    s.step(step);
    step.advance(4, ce.loss, ce.correct);
  };
  train(*model, sgd);
  const auto from = model->parameters();
  auto to = copy->parameters();
  for (std::size_t i = 0; i < from.size(); ++i)
    std::ranges::copy(from[i].to_host(), to[i].mutable_data());
  Sgd resumed(copy->parameters(), options);
  resumed.load_state(sgd.state());
  train(*model, sgd);
  step.set_step(1);
  train(*copy, resumed);
  for (std::size_t i = 0; i < from.size(); ++i)
    EXPECT_EQ(from[i].to_host(), to[i].to_host()) << i;
}

TEST(Sgd, refuses_states_of_other_parameters) {
  Sgd sgd({Tensor::zeros({3}).require_grad()}, {.momentum = 0.9f});
  EXPECT_TRUE(sgd.state().empty());
  EXPECT_THROW(sgd.load_state({{"momentum.0", Tensor::zeros({4})}}), DataError);
  EXPECT_THROW(sgd.load_state({{"momentum.1", Tensor::zeros({3})}}), DataError);
  EXPECT_THROW(sgd.load_state({{"momentum.0", Tensor::zeros({3}, kCpu, DType::i32)}}), DataError);
  sgd.load_state({{"momentum.0", Tensor::zeros({3})}});
}

TEST(Sgd, refuses_options_without_a_meaning) {
  EXPECT_THROW(Sgd({}, {}), Error);
  EXPECT_THROW(Sgd({Tensor::zeros({3}).require_grad()}, {.nesterov = true}), Error);
  EXPECT_THROW(
      Sgd({Tensor::zeros({3}).require_grad()}, {.momentum = 0.9f, .dampening = 0.1f, .nesterov = true}),
      Error);
}

TEST(Sgd, refuses_negative_options) {
  const auto theta = [] { return std::vector{Tensor::zeros({3}).require_grad()}; };
  EXPECT_THROW(Sgd(theta(), {.momentum = -0.1f}), Error);
  EXPECT_THROW(Sgd(theta(), {.momentum = 0.9f, .dampening = -0.1f}), Error);
  EXPECT_THROW(Sgd(theta(), {.weight_decay = -1e-4f}), Error);
}

TEST(Adam, refuses_options_without_a_meaning) {
  const auto theta = [] { return std::vector{Tensor::zeros({3}).require_grad()}; };
  EXPECT_THROW(Adamw({}, {}), Error);
  EXPECT_THROW(Adamw(theta(), {.beta1 = 1}), Error);
  EXPECT_THROW(Adamw(theta(), {.beta2 = -0.1}), Error);
  EXPECT_THROW(Adamw(theta(), {.beta2 = std::nan("")}), Error);
  EXPECT_THROW(Radam(theta(), {.epsilon = -1e-8}), Error);
  EXPECT_THROW(Radam(theta(), {.weight_decay = -1e-4}), Error);
}

TEST(Adam, refuses_states_that_are_not_its_own_or_not_whole) {
  Adamw adamw({Tensor::zeros({3}).require_grad(), Tensor::zeros({2}).require_grad()}, {});
  EXPECT_TRUE(adamw.state().empty());
  const Tensor three = Tensor::full({3}, 1);
  EXPECT_THROW(adamw.load_state({{"momentum.0", three}}), DataError) << "sgd's";
  EXPECT_THROW(adamw.load_state({{"exp_avg.1", three}, {"exp_avg_sq.1", three}}), DataError)
      << "of another shape";
  EXPECT_THROW(adamw.load_state({{"exp_avg.0", three}}), DataError) << "half of it";
  EXPECT_THROW(adamw.load_state({{"exp_avg_sq.0", three}}), DataError) << "the other half";
  EXPECT_TRUE(adamw.state().empty()) << "a refused state changes nothing";
  adamw.load_state({{"exp_avg.0", three}, {"exp_avg_sq.0", three}});
  EXPECT_EQ(adamw.state().size(), 2u);
}

TEST(MakeOptimizer, knows_every_optimizer_by_name) {
  for (const std::string& name : optimizers()) {
    Tensor theta = Tensor::full({}, 1);
    theta.require_grad();
    const auto optimizer = make_optimizer(name, {theta}, {.momentum = 0.9f, .weight_decay = 0.1f});
    give_gradient(theta, 1);
    Step step;
    step.set_learning_rate(0.5f);
    optimizer->step(step);
    // The first step of each: g + wd·θ; θ·lr·wd and g over its own size; as sgd, in an average of one.
    EXPECT_NEAR(theta.item(), name == "adamw" ? 1 - 0.05 - 0.5 : 1 - 0.5 * 1.1, 1e-6) << name;
    EXPECT_EQ(optimizer->state().size(), name == "sgd" ? 1u : 2u);
    optimizer->clear_gradients();
    EXPECT_FALSE(theta.grad().defined());
  }
}

TEST(MakeOptimizer, refuses_unknown_names_with_a_suggestion) {
  try {
    make_optimizer("adam", {Tensor::zeros({3}).require_grad()}, {});
    FAIL() << "adam is not known";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "optimizer: expected one of sgd, adamw, radam, got adam; did you mean adamw?");
  }
  EXPECT_THROW(make_optimizer("radam", {}, {}), Error);
}

TEST(Schedule, cosine_falls_from_the_first_epoch_to_just_above_zero) {
  const auto lr = [](int e) { return cosine(0.1, e, 200); };
  EXPECT_DOUBLE_EQ(lr(0), 0.1);
  EXPECT_NEAR(lr(1), 0.0999938316, 1e-10);
  EXPECT_NEAR(lr(50), 0.0853553391, 1e-10);
  EXPECT_NEAR(lr(100), 0.05, 1e-12);
  EXPECT_NEAR(lr(150), 0.0146446609, 1e-10);
  EXPECT_NEAR(lr(198), 2.4672e-5, 1e-9);
  EXPECT_NEAR(lr(199), 6.168376e-6, 1e-12);
}

TEST(Schedule, warm_up_rises_from_a_tenth) {
  const auto f = [](int e) { return warmup_cosine(1, e, 500, 10); };
  EXPECT_NEAR(f(0), 0.1, 1e-12);
  EXPECT_NEAR(f(1), 0.19, 1e-12);
  EXPECT_NEAR(f(5), 0.55, 1e-12);
  EXPECT_NEAR(f(9), 0.91, 1e-12);
  EXPECT_NEAR(f(10), 1, 1e-12);
  EXPECT_NEAR(f(100), 0.9190440524, 1e-10);
  EXPECT_NEAR(f(255), 0.5, 1e-12);
  EXPECT_NEAR(f(499), 1.027652e-5, 1e-11);
  const auto g = [](int e) { return warmup_cosine(1, e, 160, 5); };
  EXPECT_NEAR(g(1), 0.28, 1e-12);
  EXPECT_NEAR(g(4), 0.82, 1e-12);
  EXPECT_NEAR(g(80), 0.5253245844, 1e-10);
  EXPECT_NEAR(g(159), 1.026979e-4, 1e-10);
}

TEST(Schedule, without_warm_up_is_the_cosine) {
  for (int e = 0; e < 7; ++e)
    EXPECT_EQ(warmup_cosine(0.3, e, 7, 0), cosine(0.3, e, 7));
}

TEST(Schedule, refuses_epochs_outside) {
  EXPECT_THROW(cosine(0.1, 10, 10), Error);
  EXPECT_THROW(cosine(0.1, -1, 10), Error);
  EXPECT_THROW(warmup_cosine(0.1, -1, 10, 2), Error);
  EXPECT_THROW(warmup_cosine(0.1, 0, 10, 11), Error);
  EXPECT_THROW(warmup_cosine(0.1, 10, 10, 10), Error);
}

}  // namespace
}  // namespace clx::nn
