// Explanations and metrics against tests/fixtures/xai.npz: pytorch-grad-cam 1.5.5, Quantus 0.5.3 and 0.6.0
// and scikit-image on a small network, made by make_xai.py.
#include <algorithm>
#include <gtest/gtest.h>

#include "runtime/autograd.h"
#include "runtime/io/npz.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/pool.h"
#include "runtime/ops/relu.h"
#include "runtime/ops/softmax.h"
#include "tests/paths.h"
#include "xai/explain/aug_smooth.h"
#include "xai/explain/cam.h"
#include "xai/explain/eigen_cam.h"
#include "xai/explain/grad_cam.h"
#include "xai/explain/overlay.h"
#include "xai/metrics/coherence.h"
#include "xai/metrics/complexity.h"
#include "xai/metrics/pixel_flipping.h"
#include "xai/metrics/ssim.h"

namespace clx::xai {
namespace {

constexpr double kTolerance = 1e-5;
constexpr int kSize = 28;

const Tensor& fixture(const std::string& name) {
  static const auto all = io::read_npz(tests::fixture("xai.npz"));
  return all.at(name);
}

std::vector<double> fixture_values(const std::string& name) {
  const auto v = fixture(name).to_host();
  return {v.begin(), v.end()};
}

template <class Values>
void expect_near(const Values& got, const std::vector<double>& expected, double tolerance, const char* what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance) << what << " at " << i;
}

void expect_fixture(const Tensor& got, const std::string& name, double tolerance = kTolerance) {
  ASSERT_EQ(got.shape(), fixture(name).shape()) << name;
  expect_near(got.to_host(), fixture_values(name), tolerance, name.c_str());
}

struct Seen {
  Tensor logits, relu1, relu2;
};

// The network of make_xai.py; history begins at relu1.
Seen forward(const Tensor& images, bool normalized) {
  Seen s;
  {
    const NoGrad no_grad;
    s.relu1 = relu(conv2d(images, fixture("conv1"), {.stride = 2, .padding = 1}));
  }
  s.relu1.require_grad();
  s.relu2 = relu(conv2d(s.relu1, fixture("conv2"), {.stride = 2, .padding = 1}));
  Tensor features = global_average_pool(s.relu2);
  if (normalized) features = l2_normalize(features);
  s.logits = linear(features, fixture("head"), fixture("bias"));
  return s;
}

Tensor classifier(const Tensor& images) {
  return forward(images, false).logits;
}

class CamFixturesOf : public testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  const std::string head_ = GetParam().first, layer_ = GetParam().second;
  const std::string name_ = head_ + "_" + layer_;
};
INSTANTIATE_TEST_SUITE_P(HeadsAndLayers,
                         CamFixturesOf,
                         testing::Values(std::pair("linear", "relu1"),
                                         std::pair("linear", "relu2"),
                                         std::pair("normalized", "relu1"),
                                         std::pair("normalized", "relu2")),
                         [](const auto& info) {
                           return std::string(info.param.first) + "_" + info.param.second;
                         });

TEST_P(CamFixturesOf, GradientsAreThoseOfPyTorch) {
  const Seen seen = forward(fixture("images"), head_ == "normalized");
  const Tensor& activation = layer_ == "relu1" ? seen.relu1 : seen.relu2;
  expect_fixture(activation, "activation_" + layer_);
  const Tensor score = pick(seen.logits, fixture("classes_" + head_));
  expect_fixture(grad(score, {activation})[0], "gradient_" + name_, 1e-7);
}

TEST_P(CamFixturesOf, GradCamIsTheLibrarys) {
  const CamMaps cam = grad_cam(fixture("activation_" + layer_), fixture("gradient_" + name_), kSize, kSize);
  expect_fixture(cam.raw, "grad_cam_raw_" + name_, 1e-7);
  expect_fixture(cam.maps, "grad_cam_" + name_);
}

TEST(CamFixtures, ClosedFormOfTheLastLayerIsTheLibrarys) {
  const CamMaps cam = grad_cam_linear_head(fixture("activation_relu2"), {fixture("head")},
                                           fixture("classes_linear").to_host<std::int32_t>(), kSize, kSize);
  expect_fixture(cam.maps, "grad_cam_linear_relu2");
}

TEST(CamFixtures, EigenCamHasTheLibrarysSign) {
  for (const std::string layer : {"relu1", "relu2"}) {
    const Tensor raw = eigen_cam(fixture("activation_" + layer), EigenSign::lapack);
    expect_fixture(raw, "eigen_cam_raw_" + layer);
    expect_fixture(finish_maps(raw, kSize, kSize), "eigen_cam_" + layer);
  }
}

TEST(CamFixtures, SmoothedMapsAreTheLibrarys) {
  for (const bool normalized : {false, true}) {
    const std::string head = normalized ? "normalized" : "linear";
    const auto classes = fixture("classes_" + head);
    const std::vector<Tensor> maps = aug_smooth(fixture("images"), [&](const Tensor& view) {
      const Seen seen = forward(view, normalized);
      const Tensor gradient = grad(pick(seen.logits, classes), {seen.relu2})[0];
      return std::vector{grad_cam(seen.relu2, gradient, kSize, kSize).maps,
                         finish_maps(eigen_cam(seen.relu2, EigenSign::lapack), kSize, kSize)};
    });
    expect_fixture(maps[0], "grad_cam_smooth_" + head);
    expect_fixture(maps[1], "eigen_cam_smooth");
  }
}

TEST(CamFixtures, OverlaysAreTheLibrarys) {
  const auto pixels = fixture("pixels").to_host<std::uint8_t>(),
             expected = fixture("overlay").to_host<std::uint8_t>();
  const auto maps = fixture("grad_cam_linear_relu2").to_host();
  constexpr std::size_t kPixels = kSize * kSize;
  std::vector<std::uint8_t> got;
  for (std::size_t n = 0; n < maps.size() / kPixels; ++n) {
    const auto image = pixels.begin() + static_cast<std::ptrdiff_t>(3 * kPixels * n);
    const auto map = maps.begin() + static_cast<std::ptrdiff_t>(kPixels * n);
    const auto one = overlay({image, image + 3 * kPixels}, {map, map + kPixels});
    got.insert(got.end(), one.begin(), one.end());
  }
  EXPECT_EQ(got, expected);
}

// Half-saturated maps, maps that are nowhere 0 and maps with large plateaus.
class MetricFixtures : public testing::TestWithParam<const char*> {
 protected:
  std::string name() const { return GetParam(); }
  const Tensor& maps() const { return fixture(name()); }
};
INSTANTIATE_TEST_SUITE_P(Maps,
                         MetricFixtures,
                         testing::Values("grad_cam_linear_relu2",
                                         "grad_cam_smooth_linear",
                                         "eigen_cam_relu1"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(MetricFixtures, OfConcentrationAreThoseOfQuantus) {
  expect_near(complexity(maps()), fixture_values("complexity_" + name()), kTolerance, "complexity");
  expect_near(sparseness(maps()), fixture_values("sparseness_" + name()), kTolerance, "sparseness");
  expect_near(effective_complexity(maps()), fixture_values("effective_complexity_" + name()), 0,
              "effective complexity");
}

TEST_P(MetricFixtures, OfLocalisationAreThoseOfQuantus) {
  expect_near(attribution_localisation(maps(), fixture("masks")), fixture_values("localisation_" + name()),
              kTolerance, "localisation");
  expect_near(pointing_game(maps(), fixture("masks")), fixture_values("pointing_game_" + name()), 0,
              "pointing game");
  expect_near(relevance_rank_accuracy(maps(), fixture("masks")), fixture_values("rank_accuracy_" + name()),
              kTolerance, "rank accuracy");
  expect_near(relevance_mass_accuracy(maps(), fixture("masks")), fixture_values("mass_accuracy_" + name()),
              kTolerance, "mass accuracy");
}

// Quantus 0.5 flips pixels, 0.6 single channels: in as many steps more as there are channels.
TEST_P(MetricFixtures, PixelFlippingIsThatOfBothQuantus) {
  for (const FlipMode mode : {FlipMode::pixel, FlipMode::channel}) {
    const PixelFlipping pf = pixel_flipping(classifier, fixture("images"), maps(),
                                            fixture("labels").to_host<std::int32_t>(), {.mode = mode});
    expect_near(pf.p0, fixture_values("p0"), kTolerance, "p0");
    const std::string kind = mode == FlipMode::pixel ? "pixel" : "channel";
    const std::vector<double> curves = fixture_values(kind + "_curve_" + name());
    expect_near(pf.curves, curves, kTolerance, kind.c_str());
    const auto S = static_cast<std::size_t>(pf.steps);
    for (std::size_t n = 0; n < pf.auc.size(); ++n) {
      double area = 0;
      for (std::size_t s = 0; s + 1 < S; ++s)
        area += (curves[n * S + s] + curves[n * S + s + 1]) / 2 / static_cast<double>(S - 1);
      EXPECT_NEAR(pf.auc[n], area, kTolerance) << kind << " of image " << n;
    }
  }
}

TEST(SsimFixtures, AreThoseOfScikitImage) {
  const Tensor& a = fixture("grad_cam_linear_relu2");
  const auto noise = fixture("ssim_noise").to_host();
  std::vector<float> noisy = a.to_host();
  for (std::size_t i = 0; i < noisy.size(); ++i)
    noisy[i] = std::clamp(noisy[i] + noise[i], 0.0f, 1.0f);
  std::vector<double> uniform, gaussian;
  for (const Tensor& b : {fixture("grad_cam_linear_relu1"), Tensor::from_host(a.shape(), noisy),
                          fixture("eigen_cam_relu2"), Tensor::zeros(a.shape())}) {
    for (const double v : ssim(a, b))
      uniform.push_back(v);
    for (const double v : ssim(a, b, {.gaussian = true, .sample_covariance = false}))
      gaussian.push_back(v);
  }
  expect_near(uniform, fixture_values("ssim_uniform"), 1e-6, "uniform window");
  expect_near(gaussian, fixture_values("ssim_gaussian"), 1e-6, "Gaussian window");
}

}  // namespace
}  // namespace clx::xai
