// Golden values: Quantus 0.5.3, computed once from closed-form inputs.
#include <cmath>
#include <gtest/gtest.h>

#include "runtime/check.h"
#include "runtime/ops/softmax.h"
#include "tests/xai/maps.h"
#include "xai/explain/cam.h"
#include "xai/metrics/coherence.h"
#include "xai/metrics/complexity.h"
#include "xai/metrics/pixel_flipping.h"
#include "xai/metrics/ssim.h"

namespace clx::xai {
namespace {

constexpr double kTolerance = 2e-6;

Tensor m1() {
  return finish_maps(raw_map(4, 4, [](int i, int j) { return std::sin(1 + 4 * i + j); }), 32, 32);
}
Tensor m2() {
  return finish_maps(raw_map(4, 4, [](int i, int j) { return std::cos(1 + 4 * i + j); }), 32, 32);
}
Tensor blob() {  // zeros but for 1…9 in rows 2–4, columns 3–5
  return raw_map(8, 8, [](int i, int j) {
    return i >= 2 && i <= 4 && j >= 3 && j <= 5 ? 1 + 3 * (i - 2) + (j - 3) : 0;
  });
}
Tensor blob_mask() {
  Tensor mask = Tensor::zeros({1, 8, 8}, kCpu, DType::u8);
  for (int i = 3; i <= 5; ++i)
    for (int j = 3; j <= 5; ++j)
      mask.mutable_data<std::uint8_t>()[8 * i + j] = 255;
  return mask;
}
Tensor all_zero_map() {
  return Tensor::zeros({1, 8, 8});
}

TEST(Complexity, EqualsQuantus) {
  EXPECT_NEAR(complexity(m1())[0], 6.61322187, kTolerance);
  EXPECT_NEAR(complexity(m2())[0], 6.46540852, kTolerance);
  EXPECT_NEAR(complexity(finish_maps(map7(), 224, 224))[0], 10.03491804, kTolerance);
  EXPECT_NEAR(complexity(blob())[0], 2.04984072, kTolerance);
}

TEST(Complexity, OfAUniformMapIsTheLogarithmOfItsSize) {
  EXPECT_NEAR(complexity(Tensor::full({1, 8, 8}, 0.3f))[0], std::log(64.0), 1e-12);
}

TEST(Complexity, OfMapsOfTwoSizesIsComparableWhenNormalized) {
  for (const int n : {8, 12})
    EXPECT_NEAR(complexity(Tensor::full({1, n, n}, 0.3f), {.normalized = true})[0], 1, 1e-12);
}

TEST(EffectiveComplexity, EqualsQuantus) {
  EXPECT_EQ(effective_complexity(m1())[0], 960);
  EXPECT_EQ(effective_complexity(m2())[0], 864);
  EXPECT_EQ(effective_complexity(finish_maps(map7(), 224, 224))[0], 31232);
}

TEST(AllZero, FlagsMapsWithoutAnyValue) {
  Tensor maps = Tensor::zeros({3, 8, 8});
  maps.mutable_data()[70] = -1e-30f;
  EXPECT_EQ(all_zero(maps), (std::vector<std::uint8_t>{1, 0, 1}));
}

TEST(Ssim, EqualsScikitImage) {
  const auto transposed = [](const Tensor& m) {
    Tensor t(m.shape());
    for (int i = 0; i < 32; ++i)
      for (int j = 0; j < 32; ++j)
        t.mutable_data()[32 * i + j] = m.data()[32 * j + i];
    return t;
  };
  EXPECT_NEAR(ssim(m1(), m2())[0], -0.05629401, 1e-6);
  EXPECT_NEAR(ssim(m1(), transposed(m1()))[0], 0.05609596, 1e-6);
  const Tensor a = raw_map(8, 8, [](int i, int j) { return (8 * i + j) / 63.0; }),
               b = raw_map(8, 8, [](int i, int j) { return (8 * j + i) / 63.0; });
  EXPECT_NEAR(ssim(a, b, {.data_range = 1})[0], 0.24813001, 1e-6);
  EXPECT_EQ(ssim(all_zero_map(), all_zero_map())[0], 1);
  EXPECT_THROW(ssim(a, m1()), Error);
  EXPECT_THROW(ssim(Tensor::zeros({1, 6, 9}), Tensor::zeros({1, 6, 9})), Error);
}

TEST(Sparseness, EqualsQuantus) {
  EXPECT_NEAR(sparseness(m1())[0], 0.42439683, kTolerance);
  EXPECT_NEAR(sparseness(m2())[0], 0.50864691, kTolerance);
  EXPECT_NEAR(sparseness(finish_maps(map7(), 224, 224))[0], 0.64509689, kTolerance);
  EXPECT_NEAR(sparseness(blob())[0], 0.90104051, kTolerance);
}

TEST(Coherence, EqualsQuantus) {
  EXPECT_NEAR(attribution_localisation(m1(), centre_mask(32))[0], 0.16142081, kTolerance);
  EXPECT_NEAR(attribution_localisation(m2(), centre_mask(32))[0], 0.33328603, kTolerance);
  EXPECT_NEAR(attribution_localisation(blob(), blob_mask())[0], 0.86666667, kTolerance);
  EXPECT_EQ(pointing_game(m1(), centre_mask(32))[0], 0);
  EXPECT_EQ(pointing_game(m2(), centre_mask(32))[0], 0);
  EXPECT_EQ(pointing_game(blob(), blob_mask())[0], 1);
  const Tensor m7 = finish_maps(map7(), 224, 224);
  EXPECT_NEAR(attribution_localisation(m7, centre_mask(224))[0], 0.19196249, kTolerance);
  EXPECT_EQ(pointing_game(m7, centre_mask(224))[0], 0);
}

TEST(Coherence, HasRankAndMassAccuracy) {
  EXPECT_NEAR(relevance_rank_accuracy(blob(), blob_mask())[0], 0.66666667, kTolerance);
  EXPECT_NEAR(relevance_mass_accuracy(blob(), blob_mask())[0], 0.86666667, kTolerance);
}

TEST(PointingGame, AnyOfTiedMaximaCounts) {
  const Tensor map = raw_map(8, 8, [](int i, int j) { return (i == 0 && j == 0) || (i == 4 && j == 4); });
  EXPECT_EQ(pointing_game(map, blob_mask())[0], 1);
}

TEST(Metrics, OfAZeroMapOrAnEmptyMaskAreNaN) {
  const Tensor nothing = Tensor::zeros({1, 8, 8}, kCpu, DType::u8);
  EXPECT_TRUE(std::isnan(complexity(all_zero_map())[0]));
  EXPECT_TRUE(std::isnan(sparseness(all_zero_map())[0]));
  EXPECT_TRUE(std::isnan(pointing_game(all_zero_map(), blob_mask())[0]));
  EXPECT_TRUE(std::isnan(pointing_game(blob(), nothing)[0]));
  EXPECT_TRUE(std::isnan(attribution_localisation(blob(), nothing)[0]));
}

TEST(Metrics, RefuseWrongShapes) {
  EXPECT_THROW(complexity(Tensor({8, 8})), Error);
  EXPECT_THROW(sparseness(Tensor({8, 8})), Error);
  EXPECT_THROW(pointing_game(blob(), centre_mask(32)), Error);
  EXPECT_THROW(attribution_localisation(blob(), Tensor::zeros({1, 8, 8})), Error);
}

// x[c][i][j] = sin(0.3(16c + 4i + j)), channels last here.
Tensor toy_image() {
  Tensor x({1, 4, 4, 3});
  for (int p = 0; p < 16; ++p)
    for (int c = 0; c < 3; ++c)
      x.mutable_data()[3 * p + c] = static_cast<float>(std::sin(0.3 * (16 * c + p)));
  return x;
}

Tensor toy_map() {
  return raw_map(4, 4, [](int i, int j) { return (7 * (4 * i + j)) % 16 / 15.0; });
}

// z_c = 0.2 Σ_t x_t cos(0.1 (c + 1) t) over the flat channels-first index t.
Tensor toy_classifier(const Tensor& images) {
  Tensor z({images.dim(0), 3});
  for (std::int64_t n = 0; n < images.dim(0); ++n)
    for (int k = 0; k < 3; ++k) {
      double sum = 0;
      for (int c = 0; c < 3; ++c)
        for (int p = 0; p < 16; ++p)
          sum += images.data()[n * 48 + 3 * p + c] * std::cos(0.1 * (k + 1) * (16 * c + p));
      z.mutable_data()[3 * n + k] = static_cast<float>(0.2 * sum);
    }
  return z;
}

TEST(PixelFlipping, EqualsQuantus) {
  const PixelFlipping pf =
      pixel_flipping(toy_classifier, toy_image(), toy_map(), {1}, {.pixels_per_step = 4});
  EXPECT_EQ(pf.steps, 4);
  EXPECT_NEAR(pf.p0[0], 0.428112, 1e-6);
  const double curve[] = {0.345757, 0.288580, 0.164093, 0.120813};
  for (std::size_t s = 0; s < 4; ++s)
    EXPECT_NEAR(pf.curves[s], curve[s], 1e-6);
  EXPECT_NEAR(pf.auc[0], 0.22865273, 1e-6);
}

// Equal values of the three planes in the order of the flat channels-first index; the library's own order is
// numpy's, and agrees after every third step.
TEST(PixelFlipping, OfSingleChannelsEqualsQuantus) {
  const PixelFlipping pf = pixel_flipping(toy_classifier, toy_image(), toy_map(), {1},
                                          {.pixels_per_step = 4, .mode = FlipMode::channel});
  EXPECT_EQ(pf.steps, 12);
  const double curve[] = {0.395523, 0.286476, 0.345757, 0.315263, 0.227476, 0.288580,
                          0.281541, 0.219003, 0.164093, 0.186644, 0.164460, 0.120813};
  for (std::size_t s = 0; s < 12; ++s)
    EXPECT_NEAR(pf.curves[s], curve[s], 1e-6);
  EXPECT_NEAR(pf.auc[0], 0.24886029, 1e-6);
}

TEST(PixelFlipping, HasThreeAreas) {
  const PixelFlipping pf =
      pixel_flipping(toy_classifier, toy_image(), toy_map(), {1}, {.pixels_per_step = 4});
  EXPECT_NEAR(pf.auc_with_p0[0], (0.428112 / 2 + 0.345757 + 0.288580 + 0.164093 + 0.120813 / 2) / 4, 1e-6);
  EXPECT_NEAR(pf.auc_over_p0[0], 0.22865273 / 0.428112, 2e-6);
}

TEST(PixelFlipping, TakesItsBaselineFromTheOption) {
  const Tensor x = toy_image();
  const auto black_score = [&](FlipBaseline baseline, const std::vector<float>& values) {
    return pixel_flipping(toy_classifier, x, toy_map(), {1},
                          {.pixels_per_step = 8, .baseline = baseline, .values = values})
        .curves[1];
  };
  const auto score_of = [](const std::vector<float>& colour) {
    Tensor image({1, 4, 4, 3});
    for (std::size_t i = 0; i < 48; ++i)
      image.mutable_data()[i] = colour[i % 3];
    return static_cast<double>(softmax(toy_classifier(image)).data()[1]);
  };
  std::vector<double> mean(3);
  for (std::size_t i = 0; i < 48; ++i)
    mean[i % 3] += static_cast<double>(x.data()[i]) / 16;
  EXPECT_NEAR(black_score(FlipBaseline::zero, {}), score_of({0, 0, 0}), 1e-6);
  EXPECT_NEAR(black_score(FlipBaseline::image_min, {}), score_of({-0.9961646f, -0.9961646f, -0.9961646f}),
              1e-6);
  EXPECT_NEAR(black_score(FlipBaseline::mean, {}), score_of({mean.begin(), mean.end()}), 1e-6);
  EXPECT_NEAR(black_score(FlipBaseline::true_black, {-2, -1, 1}), score_of({-2, -1, 1}), 1e-6);
  EXPECT_NEAR(black_score(FlipBaseline::value, {0.5f}), score_of({0.5f, 0.5f, 0.5f}), 1e-6);
  EXPECT_EQ(parse_flip_baseline("true-black"), FlipBaseline::true_black);
  EXPECT_EQ(parse_flip_mode("channel"), FlipMode::channel);
}

TEST(PixelFlipping, DoesNotDependOnTheBatchSize) {
  const auto with = [](int batch, std::int64_t max_memory) {
    return pixel_flipping(toy_classifier, toy_image(), toy_map(), {1},
                          {.pixels_per_step = 2, .batch_size = batch, .max_memory = max_memory})
        .curves;
  };
  const std::vector<double> expected = with(1, 1);
  EXPECT_EQ(with(3, 1), expected);
  EXPECT_EQ(with(100, 1), expected);
  EXPECT_EQ(with(0, 1), expected);
  EXPECT_EQ(with(0, 4000), expected);
}

TEST(PixelFlipping, OfSeveralMapsIsThatOfEach) {
  Tensor other = toy_map().clone();
  for (std::int64_t i = 0; i < 16; ++i)
    other.mutable_data()[i] = toy_map().data()[15 - i];
  std::int64_t images = 0;
  const auto counting = [&](const Tensor& batch) {
    images += batch.dim(0);
    return toy_classifier(batch);
  };
  const PixelFlippingOptions options{.pixels_per_step = 4};
  const auto both = pixel_flipping(counting, toy_image(), std::vector{toy_map(), other}, {1}, options);
  EXPECT_EQ(images, 2 * 3 + 2) << "the first and the last state are those of both";
  ASSERT_EQ(both.size(), 2);
  for (std::size_t m = 0; m < 2; ++m) {
    const auto alone = pixel_flipping(toy_classifier, toy_image(), m == 0 ? toy_map() : other, {1}, options);
    EXPECT_EQ(both[m].p0, alone.p0);
    EXPECT_EQ(both[m].curves, alone.curves);
    EXPECT_EQ(both[m].auc_over_p0, alone.auc_over_p0);
  }
}

TEST(PixelFlipping, KeepsItsBatchesWithinTheMemory) {
  const Tensor images = Tensor::zeros({2, 32, 32, 3}), maps = Tensor::full({2, 32, 32}, 1);
  std::int64_t largest = 0, calls = 0;
  const auto classifier = [&](const Tensor& batch) {
    largest = std::max(largest, batch.dim(0));
    ++calls;
    return Tensor::zeros({batch.dim(0), 3});
  };
  const auto run = [&](std::int64_t max_memory) {
    largest = calls = 0;
    pixel_flipping(classifier, images, maps, {1, 2}, {.max_memory = max_memory});
  };
  run(1);
  EXPECT_EQ(largest, 1);
  EXPECT_EQ(calls, 66);
  run(1 << 30);
  EXPECT_EQ(largest, 56);
  EXPECT_EQ(calls, 6) << "1, 1, 4 and 56 images, the unperturbed and the emptied ones";
  run(100 << 10);  // an image and its scores take 12,288 + 12 bytes
  EXPECT_GE(largest, 6);
  EXPECT_LE(largest, (100 << 10) / 12300);
}

// What the classifier keeps, and what a forward pass needs whatever the batch, is no image's.
TEST(PixelFlipping, TellsImagesFromTheClassifiersOwnMemory) {
  std::int64_t largest = 0;
  Tensor kept;
  const auto classifier = [&](const Tensor& images) {
    if (!kept.defined()) kept = Tensor({1 << 18});
    const Tensor besides({1 << 16});
    largest = std::max(largest, images.dim(0));
    return toy_classifier(images);
  };
  pixel_flipping(classifier, toy_image(), toy_map(), {1}, {.pixels_per_step = 1, .max_memory = 300 << 10});
  EXPECT_EQ(largest, 1) << "four of the size of the first would not fit";
  pixel_flipping(classifier, toy_image(), toy_map(), {1}, {.pixels_per_step = 1, .max_memory = 2 << 20});
  EXPECT_EQ(largest, 9) << "all that are left";
}

TEST(PixelFlipping, OfAZeroMapIsNaN) {
  const PixelFlipping pf = pixel_flipping(toy_classifier, toy_image(), Tensor::zeros({1, 4, 4}), {1});
  EXPECT_TRUE(std::isnan(pf.auc[0]));
  EXPECT_NEAR(pf.p0[0], 0.428112, 1e-6);
}

TEST(PixelFlipping, RefusesWhatItCannotDo) {
  const auto run = [](const Tensor& map, std::vector<std::int32_t> classes, PixelFlippingOptions options) {
    return pixel_flipping(toy_classifier, toy_image(), map, classes, options);
  };
  EXPECT_THROW(run(toy_map(), {1}, {.pixels_per_step = 3}), Error);
  EXPECT_THROW(run(toy_map(), {1}, {.pixels_per_step = 16}), Error);
  EXPECT_THROW(run(toy_map(), {1, 2}, {}), Error);
  EXPECT_THROW(run(toy_map(), {7}, {}), Error);
  EXPECT_THROW(run(blob(), {1}, {}), Error);
  EXPECT_THROW(run(toy_map(), {1}, {.batch_size = -1}), Error);
  EXPECT_THROW(run(toy_map(), {1}, {.max_memory = 0}), Error);
  EXPECT_THROW(run(toy_map(), {1}, {.baseline = FlipBaseline::true_black, .values = {0, 1}}), Error);
  EXPECT_THROW(parse_flip_mode("patch"), Error);
  EXPECT_THROW(parse_flip_baseline("black"), Error);
}

}  // namespace
}  // namespace clx::xai
