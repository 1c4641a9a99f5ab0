// Linear probes: against PyTorch (tests/fixtures/probe.json, made by make_probe.py) and against theory.
#include "nn/probe.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "nn/data/loader.h"
#include "runtime/check.h"
#include "runtime/threads.h"
#include "tests/nn/closed_form.h"
#include "tests/nn/test_data.h"
#include "tests/paths.h"

namespace clx::nn {
namespace {

using nlohmann::json;
using tests::text_of_error;
using tests::value;

constexpr int kN = 120, kD = 24, kK = 7;

std::vector<std::int32_t> fixture_labels() {
  std::vector<std::int32_t> labels;
  for (int i = 0; i < kN; ++i)
    labels.push_back((5 * i + i / kK + 3) % kK);
  return labels;
}

Tensor fixture_features() {
  const auto labels = fixture_labels();
  std::vector<float> x;
  for (int i = 0; i < kN; ++i)
    for (int d = 0; d < kD; ++d)
      x.push_back(static_cast<float>(value(i * kD + d, 3000) +
                                     0.4 * value(labels[static_cast<std::size_t>(i)] * kD + d, 3001)));
  return Tensor::from_host({kN, kD}, x);
}

ProbeStart fixture_start() {
  std::vector<float> weight, bias;
  for (int k = 0; k < kK * kD; ++k)
    weight.push_back(static_cast<float>(value(k, 3002) / std::sqrt(kD)));
  for (int k = 0; k < kK; ++k)
    bias.push_back(static_cast<float>(value(k, 3003) / std::sqrt(kD)));
  return {Tensor::from_host({kK, kD}, weight), Tensor::from_host({kK}, bias)};
}

double difference(const Tensor& got, const json& expected) {
  const auto values = got.to_host();
  double largest = std::fabs(static_cast<double>(values.size()) - static_cast<double>(expected.size()));
  for (std::size_t i = 0; i < values.size(); ++i)
    largest = std::max(largest, std::fabs(values[i] - expected[i].get<double>()));
  return largest;
}

void expect_fit(const ProbeFit& fit, const json& expected) {
  EXPECT_LT(difference(fit.probe.weight, expected["weight"]), 1e-5);
  EXPECT_LT(difference(fit.probe.bias, expected["bias"]), 1e-5);
  EXPECT_NEAR(fit.loss, expected["loss"].get<double>(), 2e-6);
  const Confidence c = confidence_of(probe_scores(fit.probe, fixture_features()), fixture_labels());
  EXPECT_DOUBLE_EQ(c.accuracy, expected["accuracy"].get<double>());
  EXPECT_NEAR(c.max_probability, expected["max_probability"].get<double>(), 2e-6);
  EXPECT_NEAR(c.true_probability, expected["true_probability"].get<double>(), 2e-6);
}

class ProbeFixture : public testing::TestWithParam<bool> {
 protected:
  static json expected(const char* kind) {
    static const json all = json::parse(std::ifstream(tests::fixture("probe.json")));
    return all[GetParam() ? "normalized" : "raw"][kind];
  }
};

TEST_P(ProbeFixture, takes_pytorchs_hundred_full_batch_steps) {
  const ProbeFit fit =
      fit_probe(fixture_features(), fixture_labels(), kK, {.normalize = GetParam()}, fixture_start());
  EXPECT_EQ(fit.steps, 100);
  expect_fit(fit, expected("full_batch"));
}

TEST_P(ProbeFixture, converges_to_newtons_minimum_from_anywhere) {
  const ProbeOptions options{
      .mode = ProbeMode::converged, .normalize = GetParam(), .tolerance = 1e-9, .seed = 3};
  for (const ProbeStart& start : {ProbeStart{}, fixture_start()}) {
    const ProbeFit fit = fit_probe(fixture_features(), fixture_labels(), kK, options, start);
    EXPECT_TRUE(fit.converged);
    EXPECT_LE(fit.gradient, 1e-9);
    expect_fit(fit, expected("converged"));
  }
}

INSTANTIATE_TEST_SUITE_P(features, ProbeFixture, testing::Values(true, false), [](const auto& p) {
  return p.param ? "normalized" : "raw";
});

TEST(Probe, stops_where_it_is_told_short_of_the_minimum) {
  const ProbeFit fit = fit_probe(fixture_features(), fixture_labels(), kK,
                                 {.mode = ProbeMode::converged, .max_iterations = 3});
  EXPECT_EQ(fit.steps, 3);
  EXPECT_FALSE(fit.converged);
  EXPECT_GT(fit.gradient, 1e-7);
}

// SGD in double over the same batches.
std::vector<double> minibatch_by_hand(const ProbeOptions& o) {
  const auto x = fixture_features().to_host();
  const auto labels = fixture_labels();
  const ProbeStart start = fixture_start();
  std::vector<double> theta, momentum;
  for (const Tensor& t : {start.weight, start.bias})
    for (const float v : t.to_host())
      theta.push_back(static_cast<double>(v));
  data::EpochOrder order(kN, o.batch_size, o.seed, {.drop_last = false});
  for (int epoch = 0; epoch < o.epochs; ++epoch) {
    order.start_epoch(epoch);
    for (std::int64_t b = 0; b < order.batches(); ++b) {
      std::vector<double> gradient = theta;
      for (double& g : gradient)
        g *= static_cast<double>(o.weight_decay);
      const auto samples = order.batch(b);
      for (const auto i : samples) {
        std::array<double, kK> p{};
        double sum = 0;
        for (std::size_t k = 0; k < kK; ++k) {
          p[k] = theta[kK * kD + k];
          for (std::size_t d = 0; d < kD; ++d)
            p[k] += theta[k * kD + d] * static_cast<double>(x[static_cast<std::size_t>(i) * kD + d]);
          sum += p[k] = std::exp(p[k]);
        }
        for (std::size_t k = 0; k < kK; ++k) {
          const double dz = (p[k] / sum - (labels[static_cast<std::size_t>(i)] == static_cast<int>(k))) /
                            static_cast<double>(samples.size());
          gradient[kK * kD + k] += dz;
          for (std::size_t d = 0; d < kD; ++d)
            gradient[k * kD + d] += dz * static_cast<double>(x[static_cast<std::size_t>(i) * kD + d]);
        }
      }
      const bool first = momentum.empty();
      if (first) momentum = gradient;
      for (std::size_t t = 0; t < theta.size(); ++t) {
        if (!first) momentum[t] = static_cast<double>(o.momentum) * momentum[t] + gradient[t];
        theta[t] -= static_cast<double>(o.lr) * momentum[t];
      }
    }
  }
  return theta;
}

TEST(Probe, descends_over_shuffled_batches_the_last_one_smaller) {
  const ProbeOptions options{
      .mode = ProbeMode::minibatch, .normalize = false, .epochs = 6, .batch_size = 50, .seed = 2};
  const ProbeFit fit = fit_probe(fixture_features(), fixture_labels(), kK, options, fixture_start());
  EXPECT_EQ(fit.steps, 6 * 3);
  const std::vector<double> expected = minibatch_by_hand(options);
  EXPECT_LT(difference(fit.probe.weight, std::vector<double>(expected.begin(), expected.end() - kK)), 1e-5);
  EXPECT_LT(difference(fit.probe.bias, std::vector<double>(expected.end() - kK, expected.end())), 1e-5);
}

TEST(Probe, begins_uniformly_by_its_seed) {
  const auto start = [](std::uint64_t seed) {
    return fit_probe(fixture_features(), fixture_labels(), kK, {.epochs = 0, .seed = seed})
        .probe.weight.to_host();
  };
  EXPECT_EQ(start(1), start(1));
  EXPECT_NE(start(1), start(2));
  const float bound = 1 / std::sqrt(static_cast<float>(kD));
  const auto values = start(1);
  EXPECT_LE(std::ranges::max(values), bound);
  EXPECT_GT(std::ranges::max(values), 0.9f * bound);
  EXPECT_LT(std::ranges::min(values), -0.9f * bound);
}

// One sample of each of K classes that have collapsed to unit vectors of pairwise cosine rho; rho = −1/(K−1)
// is a simplex.
Tensor collapsed(int K, int D, double rho) {
  std::vector<float> x(static_cast<std::size_t>(K * D), 0);
  for (int i = 0; i < K; ++i) {
    auto* row = x.data() + static_cast<std::ptrdiff_t>(i) * D;
    if (rho < 0) {
      for (int k = 0; k < K; ++k)
        row[k] = static_cast<float>(std::sqrt(K / (K - 1.0)) * ((i == k) - 1.0 / K));
    } else {
      row[i] = static_cast<float>(std::sqrt(1 - rho));
      row[D - 1] = static_cast<float>(std::sqrt(rho));
    }
  }
  return Tensor::from_host({K, D}, x);
}

std::vector<std::int32_t> one_of_each(int K) {
  std::vector<std::int32_t> labels;
  for (int k = 0; k < K; ++k)
    labels.push_back(k);
  return labels;
}

// Perfect features, and yet a hundred steps leave the classifier this unsure: docs/training/probe.md.
TEST(Probe, is_as_unsure_of_collapsed_classes_as_theory_says) {
  const auto probability = [](int K, double rho) {
    const Tensor x = collapsed(K, 64, rho);
    const ProbeStart zero{Tensor::zeros({K, 64}), Tensor::zeros({K})};
    const ProbeFit fit = fit_probe(x, one_of_each(K), K, {}, zero);
    const Confidence c = confidence_of(probe_scores(fit.probe, x), one_of_each(K));
    EXPECT_EQ(c.accuracy, 1);
    EXPECT_DOUBLE_EQ(c.true_probability, c.max_probability);
    return c.true_probability;
  };
  constexpr double kRounding = 1e-5;  // of what PyTorch finds in double precision
  EXPECT_NEAR(probability(10, -1.0 / 9), 0.90831, kRounding);
  EXPECT_NEAR(probability(10, 0), 0.89349, kRounding);
  EXPECT_NEAR(probability(10, 0.3), 0.82333, kRounding);
  EXPECT_NEAR(probability(10, 0.6), 0.63458, kRounding);
  EXPECT_NEAR(probability(10, 0.9), 0.20889, kRounding);
  EXPECT_NEAR(probability(50, -1.0 / 49), 0.10989, kRounding);
  EXPECT_NEAR(probability(50, 0), 0.10657, kRounding);
  EXPECT_NEAR(probability(50, 0.3), 0.06647, kRounding);
  EXPECT_NEAR(probability(50, 0.6), 0.04024, kRounding);
  EXPECT_NEAR(probability(50, 0.9), 0.02387, kRounding);
}

TEST(Probe, is_sure_of_collapsed_classes_when_converged) {
  const Tensor x = collapsed(50, 64, 0.6);
  const ProbeFit fit = fit_probe(x, one_of_each(50), 50, {.mode = ProbeMode::converged});
  EXPECT_TRUE(fit.converged);
  EXPECT_GT(confidence_of(probe_scores(fit.probe, x), one_of_each(50)).true_probability, 0.5);
}

TEST(Probe, knows_length_only_if_it_is_given_raw_features) {
  const ProbeFit fit = fit_probe(fixture_features(), fixture_labels(), kK);
  const Tensor x = Tensor::from_host({2, 2}, std::vector<float>{3, 4, 30, 40});
  const Probe probe{Tensor::from_host({2, 2}, std::vector<float>{1, 0, 0, 1}), Tensor::zeros({2})};
  EXPECT_EQ(probe_scores(probe, x).to_host(), (std::vector<float>{0.6f, 0.8f, 0.6f, 0.8f}));
  EXPECT_EQ(probe_scores(probe, x, false).to_host(), (std::vector<float>{3, 4, 30, 40}));
}

TEST(Probe, gives_the_same_bits_with_any_number_of_threads) {
  const int before = threads();
  for (const ProbeMode mode : {ProbeMode::full_batch, ProbeMode::minibatch, ProbeMode::converged}) {
    std::vector<std::vector<float>> weights;
    for (const int count : {1, 3}) {
      set_threads(count);
      weights.push_back(fit_probe(fixture_features(), fixture_labels(), kK, {.mode = mode, .epochs = 5})
                            .probe.weight.to_host());
    }
    EXPECT_EQ(weights[0], weights[1]) << name_of(mode);
  }
  set_threads(before);
}

TEST(Confidence, is_the_mean_over_samples) {
  const Tensor z = Tensor::from_host({2, 3}, std::vector<float>{0, 0, std::log(2.0f), 1000, 0, 0});
  const Confidence c = confidence_of(z, {0, 0});
  EXPECT_DOUBLE_EQ(c.accuracy, 0.5);
  EXPECT_NEAR(c.max_probability, (0.5 + 1) / 2, 1e-7);
  EXPECT_NEAR(c.true_probability, (0.25 + 1) / 2, 1e-7);
}

TEST(Probe, refuses_samples_that_do_not_fit) {
  const auto labels = fixture_labels();
  EXPECT_EQ(text_of_error<Error>([&] { fit_probe(fixture_features(), labels, 6); }),
            "probe: expected labels within 0…5, got 6");
  EXPECT_EQ(text_of_error<Error>([&] {
              fit_probe(fixture_features(), {1, 2}, kK);
            }),
            "probe: expected 120 labels, got 2");
  EXPECT_THROW(fit_probe(fixture_features(), labels, 1), Error);
  EXPECT_THROW(fit_probe({}, labels, kK), Error);
  EXPECT_THROW(fit_probe(fixture_features(), labels, kK, {}, {Tensor::zeros({kK, 3}), {}}), Error);
  EXPECT_THROW(confidence_of(Tensor::zeros({2, 3}), {0}), Error);
}

}  // namespace
}  // namespace clx::nn
