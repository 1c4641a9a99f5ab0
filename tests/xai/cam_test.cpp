// Golden values: pytorch-grad-cam 1.5.5 with OpenCV and numpy, computed once from closed-form inputs.
#include "xai/explain/cam.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <gtest/gtest.h>

#include "runtime/check.h"
#include "tests/xai/maps.h"
#include "xai/explain/controls.h"
#include "xai/explain/eigen_cam.h"
#include "xai/explain/grad_cam.h"
#include "xai/explain/overlay.h"

namespace clx::xai {
namespace {

constexpr float kTolerance = 2e-6f;

float at(const Tensor& maps, int i, int j) {
  return maps.data()[i * maps.dim(2) + j];
}

double mean(const Tensor& maps) {
  double sum = 0;
  for (const float v : maps.to_host())
    sum += v;
  return sum / static_cast<double>(maps.size());
}

std::int64_t zeros(const Tensor& maps) {
  const auto v = maps.to_host();
  return std::count(v.begin(), v.end(), 0.0f);
}

std::pair<int, int> first_maximum(const Tensor& maps) {
  const auto v = maps.to_host();
  const auto index = std::max_element(v.begin(), v.end()) - v.begin();
  return {static_cast<int>(index / maps.dim(2)), static_cast<int>(index % maps.dim(2))};
}

// The values of OpenCV's resize alone: a map from 0 to 1 stays one.
TEST(FinishMaps, ResizesAsOpenCvDoes) {
  const Tensor m = finish_maps(raw_map(4, 4, [](int i, int j) { return (4 * i + j) / 15.0; }), 32, 32);
  EXPECT_EQ(at(m, 0, 0), 0);
  EXPECT_EQ(at(m, 3, 3), 0);
  EXPECT_NEAR(at(m, 4, 4), 0.02083333f, kTolerance);
  EXPECT_NEAR(at(m, 11, 19), 0.37916666f, kTolerance);
  EXPECT_NEAR(at(m, 15, 16), 0.48750004f, kTolerance);
  EXPECT_NEAR(at(m, 31, 31), 1, kTolerance);
  EXPECT_NEAR(at(m, 0, 31), 0.2f, kTolerance);
  EXPECT_NEAR(mean(m) * 1024, 512.00001, 1e-3);
}

TEST(FinishMaps, RefusesWhatIsNotAMap) {
  EXPECT_THROW(finish_maps(Tensor({2, 3}), 4, 4), Error);
  EXPECT_THROW(finish_maps(Tensor({1, 2, 3}), 0, 4), Error);
}

TEST(FinishMaps, EqualsTheLibraryAt32) {
  const Tensor m1 = finish_maps(raw_map(4, 4, [](int i, int j) { return std::sin(1 + 4 * i + j); }), 32, 32);
  EXPECT_NEAR(at(m1, 28, 12), 0.99999988f, kTolerance);
  EXPECT_EQ(first_maximum(m1), std::make_pair(28, 12));
  EXPECT_NEAR(mean(m1), 0.38759808, kTolerance);
  EXPECT_EQ(zeros(m1), 64);
  EXPECT_NEAR(at(m1, 0, 0), 0.86808866f, kTolerance);
  EXPECT_NEAR(at(m1, 4, 4), 0.81793302f, kTolerance);
  EXPECT_NEAR(at(m1, 16, 16), 0.16679463f, kTolerance);
  EXPECT_NEAR(at(m1, 10, 8), 0.17014648f, kTolerance);
  EXPECT_EQ(at(m1, 31, 31), 0);

  const Tensor m2 = finish_maps(raw_map(4, 4, [](int i, int j) { return std::cos(1 + 4 * i + j); }), 32, 32);
  EXPECT_NEAR(mean(m2), 0.30514875, kTolerance);
  EXPECT_EQ(zeros(m2), 160);
  EXPECT_NEAR(at(m2, 0, 0), 0.59540921f, kTolerance);
  EXPECT_NEAR(at(m2, 4, 4), 0.54575819f, kTolerance);
  EXPECT_NEAR(at(m2, 16, 16), 0.40852368f, kTolerance);
  EXPECT_NEAR(at(m2, 10, 8), 0.64354461f, kTolerance);
  EXPECT_EQ(first_maximum(m2), std::make_pair(28, 0));
}

TEST(FinishMaps, EqualsTheLibraryAt224) {
  const Tensor m = finish_maps(map7(), 224, 224);
  EXPECT_NEAR(mean(m), 0.23467922, kTolerance);
  EXPECT_EQ(zeros(m), 18944);
  EXPECT_NEAR(at(m, 0, 0), 0.31640989f, kTolerance);
  EXPECT_NEAR(at(m, 28, 28), 0.52910680f, kTolerance);
  EXPECT_NEAR(at(m, 112, 112), 0.00588738f, kTolerance);
  EXPECT_NEAR(at(m, 74, 56), 0.26631725f, kTolerance);
  EXPECT_NEAR(at(m, 223, 223), 0.28906381f, kTolerance);
  EXPECT_EQ(first_maximum(m), std::make_pair(144, 175));
}

TEST(FinishMaps, WithoutPositiveValuesIsZero) {
  const Tensor m = finish_maps(raw_map(4, 4, [](int i, int j) { return -1.0 - i - j; }), 32, 32);
  EXPECT_EQ(zeros(m), 1024);
}

// A[k][i][j] = max(0, sin(0.37(k+1)(i+1)) + cos(0.53(k+1)(j+1))) in the library's layout, here channels last.
Tensor activation() {
  Tensor a({1, 4, 4, 6});
  float* out = a.mutable_data();
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      for (int k = 0; k < 6; ++k)
        *out++ = static_cast<float>(
            std::max(0.0, std::sin(0.37 * (k + 1) * (i + 1)) + std::cos(0.53 * (k + 1) * (j + 1))));
  return a;
}

TEST(EigenCam, EqualsNumpyWithItsSign) {
  const Tensor raw = eigen_cam(activation(), EigenSign::lapack);
  const float row0[] = {-0.82965f, 1.36499f, 0.47878f, 1.64600f},
              row3[] = {-1.15226f, 0.86520f, -0.15596f, 0.92804f};
  for (int j = 0; j < 4; ++j) {
    EXPECT_NEAR(at(raw, 0, j), row0[j], 1e-5);
    EXPECT_NEAR(at(raw, 3, j), row3[j], 1e-5);
  }
  const Tensor m = finish_maps(raw, 32, 32);
  EXPECT_NEAR(mean(m), 0.23201908, kTolerance);
  EXPECT_EQ(zeros(m), 128);

  double squares = 0;
  Tensor opposite(raw.shape());
  for (int i = 0; i < 16; ++i) {
    squares += static_cast<double>(raw.data()[i]) * static_cast<double>(raw.data()[i]);
    opposite.mutable_data()[i] = -raw.data()[i];
  }
  EXPECT_NEAR(std::sqrt(squares), 3.6062622, 1e-5);  // the first singular value
  EXPECT_NEAR(mean(finish_maps(opposite, 32, 32)), 0.28623856, kTolerance);
}

TEST(EigenCam, SignsDifferOnlyInSign) {
  const Tensor lapack = eigen_cam(activation(), EigenSign::lapack);
  for (const EigenSign sign : {EigenSign::top_left, EigenSign::mean_corr, EigenSign::max_abs}) {
    const Tensor raw = eigen_cam(activation(), sign);
    const float factor = raw.data()[0] * lapack.data()[0] > 0 ? 1.0f : -1.0f;
    for (int i = 0; i < 16; ++i)
      EXPECT_NEAR(factor * raw.data()[i], lapack.data()[i], 1e-5);
  }
  EXPECT_LT(eigen_cam(activation(), EigenSign::top_left).data()[0], 0);
}

TEST(EigenCam, RefusesAnUnknownSign) {
  EXPECT_EQ(parse_eigen_sign("mean-corr"), EigenSign::mean_corr);
  EXPECT_THROW(parse_eigen_sign("numpy"), Error);
  EXPECT_THROW(eigen_cam(Tensor({4, 4}), EigenSign::lapack), Error);
}

TEST(GradCam, EqualsTheLibrary) {
  const Tensor a = activation();
  Tensor g(a.shape());
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 6; ++k)
      g.mutable_data()[i * 6 + k] = static_cast<float>(std::sin(k + 0.5));  // alpha_k is its mean
  const auto [raw, m, zero] = grad_cam(a, g, 32, 32);
  const float rows[2][4] = {{2.027695f, -2.377145f, -0.810374f, -0.614560f},
                            {2.683186f, 0.982415f, 0.412147f, 1.668244f}};
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      EXPECT_NEAR(at(raw, i, j), rows[i][j], 1e-5);
  EXPECT_NEAR(mean(m), 0.28076959, kTolerance);
  EXPECT_EQ(first_maximum(m), std::make_pair(12, 0));
}

TEST(GradCam, ClosedFormEqualsTheGradientOfALinearHead) {
  const Tensor a = activation();
  Tensor w({3, 6}), g(a.shape());
  for (int i = 0; i < 18; ++i)
    w.mutable_data()[i] = static_cast<float>(std::cos(i));
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 6; ++k)
      g.mutable_data()[i * 6 + k] = w.data()[2 * 6 + k] / 16;
  const Tensor general = grad_cam(a, g, 8, 8).raw, closed = grad_cam_linear_head(a, {w}, {2}, 8, 8).raw;
  for (int i = 0; i < 16; ++i)
    EXPECT_NEAR(closed.data()[i], general.data()[i], 1e-6);
  EXPECT_THROW(grad_cam_linear_head(a, {w}, {3}, 8, 8), Error);
  EXPECT_THROW(grad_cam(a, Tensor({1, 4, 4, 5}), 8, 8), Error);
}

// With the gradient of the score (W·f/‖f‖)_c by central differences in f.
TEST(GradCam, ClosedFormEqualsTheGradientOfANormalizedHead) {
  const Tensor a = activation();
  Tensor w({3, 6}), g(a.shape());
  for (int i = 0; i < 18; ++i)
    w.mutable_data()[i] = static_cast<float>(std::cos(i));
  std::vector<double> f(6);
  for (int i = 0; i < 96; ++i)
    f[static_cast<std::size_t>(i % 6)] += a.data()[i] / 16.0;
  const auto score = [&](const std::vector<double>& x) {
    double dot = 0, squares = 0;
    for (std::size_t k = 0; k < 6; ++k) {
      dot += w.data()[6 + k] * x[k];
      squares += x[k] * x[k];
    }
    return dot / std::sqrt(squares);
  };
  for (std::size_t k = 0; k < 6; ++k) {
    std::vector<double> more = f, less = f;
    more[k] += 1e-5;
    less[k] -= 1e-5;
    for (std::size_t i = 0; i < 16; ++i)
      g.mutable_data()[i * 6 + k] = static_cast<float>((score(more) - score(less)) / 2e-5 / 16);
  }
  const Tensor general = grad_cam(a, g, 8, 8).raw, closed = grad_cam_linear_head(a, {w, true}, {1}, 8, 8).raw;
  double sum = 0, magnitude = 0;
  for (int i = 0; i < 16; ++i) {
    EXPECT_NEAR(closed.data()[i], general.data()[i], 1e-6);
    sum += closed.data()[i];
    magnitude += std::abs(closed.data()[i]);
  }
  EXPECT_LT(std::abs(sum), 1e-5 * magnitude) << "the length of f does not matter, so the map sums to 0";
}

TEST(GradCam, ClosedFormOfNoActivationIsZero) {
  const CamMaps cam =
      grad_cam_linear_head(Tensor::zeros({1, 2, 2, 6}), {Tensor::full({3, 6}, 1.0f), true}, {0}, 4, 4);
  EXPECT_EQ(cam.raw.to_host(), std::vector<float>(4, 0.0f));
  EXPECT_EQ(cam.maps.to_host(), std::vector<float>(16, 0.0f));
  EXPECT_EQ(cam.zero.to_host<std::uint8_t>()[0], 1);
}

TEST(Overlay, EqualsShowCamOnImage) {
  EXPECT_EQ(jet(0), (std::array<std::uint8_t, 3>{0, 0, 128}));
  EXPECT_EQ(jet(128), (std::array<std::uint8_t, 3>{130, 255, 126}));
  EXPECT_EQ(jet(96), (std::array<std::uint8_t, 3>{2, 255, 254}));
  EXPECT_EQ(jet(159), (std::array<std::uint8_t, 3>{254, 255, 1}));
  EXPECT_EQ(jet(255), (std::array<std::uint8_t, 3>{128, 0, 0}));
  const auto out = overlay({0, 0, 0, 255, 255, 255}, {0.0f, 1.0f});
  EXPECT_EQ(out, (std::vector<std::uint8_t>{0, 0, 85, 255, 169, 169}));
  EXPECT_THROW(overlay({0, 0, 0}, {0.0f, 1.0f}), Error);
}

}  // namespace
}  // namespace clx::xai
