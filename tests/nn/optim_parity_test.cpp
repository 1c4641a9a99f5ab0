// The optimizers and schedules against PyTorch: tests/fixtures/optim.json, made by make_optim.py.
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "runtime/autograd.h"
#include "tests/devices.h"
#include "tests/nn/closed_form.h"
#include "tests/paths.h"

namespace clx::nn {
namespace {

using nlohmann::json;

const json& fixture() {
  static const json all = json::parse(std::ifstream(tests::fixture("optim.json")));
  return all;
}

struct Course {
  const char* fixture;
  const char* optimizer;
  double lr;
  OptimizerOptions options;
};

const std::vector<Course> kCourses{
    {"sgd", "sgd", 0.1, {.momentum = 0.9f, .weight_decay = 5e-4f}},
    {"sgd_dampened", "sgd", 0.1, {.momentum = 0.8f, .dampening = 0.3f, .weight_decay = 5e-4f}},
    {"nesterov", "sgd", 0.1, {.momentum = 0.9f, .nesterov = true, .weight_decay = 5e-4f}},
    {"adamw", "adamw", 1e-3, {.weight_decay = 1e-4f}},
    {"adamw_far", "adamw", 1e-2, {.weight_decay = 0.1f, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3}},
    {"radam", "radam", 1e-3, {.weight_decay = 1e-4f}},
    {"radam_decoupled", "radam", 1e-2, {.weight_decay = 0.1f, .decoupled = true}},
};

constexpr int kSteps = 50, kStepsPerEpoch = 5;
const std::vector<std::int64_t> kSizes{1, 7, 135, 33, 258, 64};
const std::vector<double> kScales{1, 0.01, 3, 1e-4, 0.3, 1};

std::vector<float> noise(std::int64_t n, std::uint32_t stream) {
  std::vector<float> values;
  for (std::int64_t k = 0; k < n; ++k)
    values.push_back(static_cast<float>(tests::value(k, stream)));
  return values;
}

// make_optim.py's parameters, gradients and learning rates.
class Follower {
 public:
  Follower(const Course& course, Device device) : course_(course), step_(device) {
    for (std::size_t i = 0; i < kSizes.size(); ++i) {
      parameters_.push_back(
          Tensor::from_host({kSizes[i]}, noise(kSizes[i], static_cast<std::uint32_t>(2900 + i)), device));
      parameters_.back().require_grad();
    }
    restart();
  }

  // A new optimizer for the same parameters.
  void restart() { optimizer_ = make_optimizer(course_.optimizer, parameters_, course_.options); }
  Optimizer& optimizer() { return *optimizer_; }

  void take_step(int t) {
    optimizer_->clear_gradients();
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const std::vector<float> theta = parameters_[i].to_host();
      std::vector<float> g =
          noise(kSizes[i], static_cast<std::uint32_t>(3000 + 100 * i) + static_cast<std::uint32_t>(t));
      for (std::size_t k = 0; k < g.size(); ++k)
        g[k] = static_cast<float>(kScales[i] * (0.25 * theta[k] + g[k]));
      const Tensor gradient = Tensor::from_host({kSizes[i]}, g, step_.device());
      backward(record("test", Tensor::zeros({}, step_.device()), {parameters_[i]},
                      [gradient](const Tensor&, const Needs&) { return std::vector{gradient}; }));
    }
    step_.set_learning_rate(
        static_cast<float>(warmup_cosine(course_.lr, t / kStepsPerEpoch, kSteps / kStepsPerEpoch, 2)));
    step_.set_step(t);
    optimizer_->step(step_);
  }

  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> all;
    for (const Tensor& p : parameters_)
      all.push_back(p.to_host());
    return all;
  }

 private:
  const Course& course_;
  std::vector<Tensor> parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  Step step_;
};

class Optimizers : public testing::TestWithParam<std::tuple<std::size_t, Device>> {
 protected:
  void SetUp() override {
    if (!available(device().kind)) GTEST_SKIP() << "needs a GPU and a build with kernels for it";
  }
  static const Course& course() { return kCourses[std::get<0>(GetParam())]; }
  static Device device() { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Courses,
                         Optimizers,
                         testing::Combine(testing::Range<std::size_t>(0, kCourses.size()),
                                          tests::every_device()),
                         [](const auto& info) {
                           return std::string(kCourses[std::get<0>(info.param)].fixture) + "_" +
                                  tests::device_name({std::get<1>(info.param), 0});
                         });

// The fixture is computed in double. PyTorch's own single precision differs from it by up to 1.2e-6, as
// make_optim.py prints.
TEST_P(Optimizers, follow_pytorch_for_fifty_steps) {
  Follower follower(course(), device());
  const json& kept = fixture()["optimizers"][course().fixture];
  double worst = 0;
  for (int t = 0; t < kSteps; ++t) {
    follower.take_step(t);
    for (std::size_t k = 0; k < kept.size(); ++k) {
      if (fixture()["steps"][k] != t + 1) continue;
      const auto expected = kept[k].get<std::vector<std::vector<double>>>();
      const auto got = follower.values();
      for (std::size_t i = 0; i < kSizes.size(); ++i) {
        double difference = 0, size = 0;
        for (std::size_t e = 0; e < got[i].size(); ++e) {
          difference = std::max(difference, std::fabs(got[i][e] - expected[i][e]));
          size = std::max(size, std::fabs(expected[i][e]));
        }
        worst = std::max(worst, difference / size);
        EXPECT_LT(difference, 2e-6 * size) << "tensor " << i << " after step " << t + 1;
      }
    }
  }
  std::cout << "  largest deviation " << worst << "\n";
}

// Interrupted before, at and after RAdam's first rectified step.
TEST_P(Optimizers, go_on_from_their_state_bit_for_bit) {
  Follower whole(course(), device()), interrupted(course(), device());
  for (int t = 0; t < 9; ++t) {
    whole.take_step(t);
    if (t == 3 || t == 5 || t == 6) {
      std::map<std::string, Tensor> state;
      for (const auto& [name, tensor] : interrupted.optimizer().state())
        state[name] = tensor.to(kCpu).clone();
      interrupted.restart();
      interrupted.optimizer().load_state(state);
    }
    interrupted.take_step(t);
    EXPECT_EQ(whole.values(), interrupted.values()) << "step " << t;
  }
}

TEST(Schedule, is_pytorchs_in_every_epoch) {
  ASSERT_EQ(fixture()["schedules"].size(), 4u);
  for (const json& s : fixture()["schedules"]) {
    const auto rates = s["rates"].get<std::vector<double>>();
    ASSERT_EQ(rates.size(), s["epochs"]);
    for (int e = 0; e < static_cast<int>(rates.size()); ++e)
      EXPECT_NEAR(warmup_cosine(s["lr"], e, s["epochs"], s["warmup"]) / rates[static_cast<std::size_t>(e)], 1,
                  1e-9)
          << "epoch " << e << " of " << s["epochs"] << ", warm-up " << s["warmup"];
  }
}

}  // namespace
}  // namespace clx::nn
