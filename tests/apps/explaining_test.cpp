// Explanations of small networks: closed forms against autograd, any layer, targets.
#include "apps/support/explaining.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/support/exit_code.h"
#include "nn/models/probed.h"
#include "runtime/random.h"
#include "tests/arrays.h"

namespace clx::app {
namespace {

using testing::HasSubstr;

Tensor images(std::int64_t n) {
  Tensor x({n, 16, 16, 3});
  Random random(1, Purpose::test);
  for (std::int64_t i = 0; i < x.size(); ++i)
    x.mutable_data()[i] = random.normal();
  return x;
}

std::unique_ptr<nn::Model> network() {
  return nn::make_model("resnet20", {.classes = 5, .width = 0.5}, 3);
}

std::unique_ptr<nn::Model> probed(bool normalize) {
  nn::Probe probe{.weight = Tensor({5, 32}), .bias = Tensor::zeros({5}), .normalized = normalize};
  Random random(2, Purpose::test);
  for (int i = 0; i < 160; ++i)
    probe.weight.mutable_data()[i] = random.normal();
  return nn::with_probe(network(), probe);
}

const std::vector<std::int32_t> kLabels{4, 3, 2, 1, 0, 4};

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<float> x = a.to_host(), y = b.to_host();
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    largest = std::max(largest, static_cast<double>(std::abs(x[i] - y[i])));
  return largest;
}

double largest(const Tensor& a) {
  return largest_difference(a, Tensor::zeros(a.shape()));
}

TEST(Explaining, ClosedFormsEqualAutograd) {
  std::vector<std::unique_ptr<nn::Model>> models;
  models.push_back(network());
  models.push_back(probed(true));
  models.push_back(probed(false));
  for (const auto& model : models)
    for (const bool smooth : {false, true}) {
      const ExplainOptions closed{.methods = {"grad-cam"}, .target = "true", .aug_smooth = smooth};
      ExplainOptions autograd = closed;
      autograd.cam = CamPath::autograd;
      const Explainer a(*model, closed), b(*model, autograd);
      EXPECT_TRUE(a.closed());
      EXPECT_FALSE(b.closed());
      const MethodMaps x = a.explain(images(6), kLabels, 0).methods[0],
                       y = b.explain(images(6), kLabels, 0).methods[0];
      EXPECT_GT(largest(y.raw), 1e-4) << model->description();
      EXPECT_LE(largest_difference(x.raw, y.raw), 1e-6 * std::max(1.0, largest(y.raw)));
      EXPECT_LE(largest_difference(x.maps, y.maps), smooth ? 3e-6 : 2e-6) << model->description();
    }
}

TEST(Explaining, MapsOfANormalisedHeadSumToZero) {
  const auto model = probed(true);
  const Tensor raw =
      Explainer(*model, {.methods = {"grad-cam"}}).explain(images(6), kLabels, 0).methods[0].raw;
  for (std::int64_t n = 0; n < 6; ++n) {
    double sum = 0, magnitude = 0;
    for (const float v : raw.slice(n, n + 1).to_host()) {
      sum += v;
      magnitude += std::abs(v);
    }
    EXPECT_LT(std::abs(sum), 1e-5 * magnitude);
  }
}

TEST(Explaining, AnyLayerByNameTheLastByItsStage) {
  const auto model = network();
  const Explainer last(*model, {.layer = "layer3"});
  EXPECT_TRUE(last.closed());
  const Explainer middle(*model, {.layer = "layer2.1"});
  EXPECT_FALSE(middle.closed());
  const Explained e = middle.explain(images(2), {0, 1}, 0);
  EXPECT_EQ(e.methods[0].raw.shape(), (Shape{2, 8, 8}));
  EXPECT_EQ(e.methods[1].maps.shape(), (Shape{2, 16, 16}));
  try {
    Explainer(*model, {.layer = "layer2.1", .cam = CamPath::closed});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("layer3.2"));
    EXPECT_THAT(error.what(), HasSubstr("got layer2.1"));
  }
}

TEST(Explaining, TargetsArePredictedTrueOrOneClass) {
  const auto model = network();
  const auto target = [&](const std::string& text) {
    return Explainer(*model, {.methods = {"grad-cam"}, .target = text}).explain(images(6), kLabels, 0);
  };
  EXPECT_EQ(target("predicted").target, target("predicted").predicted);
  EXPECT_EQ(target("true").target, kLabels);
  EXPECT_EQ(target("3").target, std::vector<std::int32_t>(6, 3));
  EXPECT_GT(largest_difference(target("3").methods[0].raw, target("2").methods[0].raw), 1e-4);
  EXPECT_THROW(target("5"), UsageError);
  EXPECT_THROW(target("cat"), UsageError);
}

// All that explanations of four batches, one of them smaller, say; read when the last is explained.
std::vector<std::vector<std::uint8_t>> explained(Device device,
                                                 const ExplainOptions& options,
                                                 std::size_t captured) {
  const auto model = nn::make_model("resnet20", {.classes = 5, .width = 0.25}, 3, device);
  model->train(false);
  const Explainer explainer(*model, options);
  std::vector<Explained> all;
  for (const std::int64_t n : {2, 2, 1, 2, 2}) {
    const Tensor batch =
        tests::to_tensor(tests::uniform({n, 8, 8, 3}, static_cast<unsigned>(all.size() + 1), -2, 2), device);
    const auto first = kLabels.begin() + static_cast<std::ptrdiff_t>(all.size());
    const std::vector<std::int32_t> labels(first, first + n);
    all.push_back(explainer.explain(batch, labels, 0));
  }
  EXPECT_EQ(explainer.captured(), captured);
  std::vector<std::vector<std::uint8_t>> said;
  for (const Explained& e : all) {
    said.push_back(tests::bits(e.seen.logits));
    said.push_back(tests::bits(e.seen.activation));
    for (const MethodMaps& m : e.methods) {
      said.push_back(tests::bits(m.maps));
      said.push_back(tests::bits(m.raw));
      said.push_back(m.opposed);
    }
  }
  return said;
}

TEST(Explaining, ReplayedWorkSaysTheSame) {
  const auto compare = [](ExplainOptions options, std::size_t captured) {
    const auto plain = explained(kEmulated, options, 0);
    options.graph = GraphMode::on;
    EXPECT_TRUE(explained(kEmulated, options, captured) == plain);
  };
  compare({}, 4);  // forward pass, activity, two methods
  compare({.methods = {"grad-cam"}, .target = "true", .aug_smooth = true}, 3);
  compare({.eigen_sign = xai::EigenSign::lapack}, 3);
  compare({.cam = CamPath::autograd}, 2);  // not the forward pass, whose history gradients need
  ExplainOptions on_cpu;
  on_cpu.graph = GraphMode::on;
  explained(kCpu, on_cpu, 0);
}

TEST(Explaining, ABatchIsExplainedAsItsImagesAre) {
  const auto model = network();
  for (const bool smooth : {false, true}) {
    const Explainer explainer(*model, {.methods = {"grad-cam", "random", "eigen-cam"}, .aug_smooth = smooth});
    const Explained all = explainer.explain(images(6), kLabels, 10);
    const Explained third = explainer.explain(images(6).slice(2, 3), {2}, 12);
    for (std::size_t m = 0; m < 3; ++m)
      EXPECT_EQ(all.methods[m].maps.slice(2, 3).to_host(), third.methods[m].maps.to_host()) << m;
    EXPECT_FALSE(all.methods[1].raw.defined());
    EXPECT_EQ(all.methods[2].opposed, std::vector<std::uint8_t>(6, 0)) << "the sign follows the activation";
  }
}

}  // namespace
}  // namespace clx::app
