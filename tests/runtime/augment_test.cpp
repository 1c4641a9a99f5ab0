// Augmented batches on every device: against torchvision with the same draws, against Pillow's bytes, and
// what is drawn.
#include "runtime/ops/augment.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "kernels/threads.h"
#include "runtime/io/npz.h"
#include "runtime/ops/pil_augment.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/paths.h"

namespace clx::tests {
namespace {

const std::vector<float> kMean{0.49f, 0.48f, 0.45f}, kStd{0.25f, 0.24f, 0.26f};

struct Pipeline {
  const char* name;
  AugmentOptions options;
};

// Those of tests/fixtures/augment.py.
std::vector<Pipeline> pipelines() {
  const auto only = [](float b, float c, float s, float h) {
    return AugmentOptions{.jitter =
                              ColorJitter{.brightness = b, .contrast = c, .saturation = s, .hue = h, .p = 1}};
  };
  std::vector<Pipeline> all = {
      {"crop", {.padding = 4, .flip = true}},
      {"resized_crop", {.resized_crop = ResizedCrop{}, .height = 12, .width = 19, .flip = true}},
      {"narrow",
       {.resized_crop = ResizedCrop{.scale_low = 0.9, .ratio_low = 3, .ratio_high = 3.5},
        .height = 11,
        .width = 33}},
      {"shrunk", {.resized_crop = ResizedCrop{.scale_low = 0.5}, .height = 5, .width = 6, .flip = true}},
      {"brightness", only(0.6f, 0, 0, 0)},
      {"contrast", only(0, 1.5f, 0, 0)},
      {"saturation", only(0, 0, 0.8f, 0)},
      {"hue", only(0, 0, 0, 0.5f)},
      {"gray", {.grayscale = 0.5f}},
      {"blur", {.blur = GaussianBlur{.p = 0.7f}}},
      {"contrastive",
       {.resized_crop = ResizedCrop{.scale_low = 0.2},
        .height = 13,
        .width = 15,
        .flip = true,
        .jitter = ColorJitter{.brightness = 0.4f, .contrast = 0.4f, .saturation = 0.4f, .hue = 0.1f},
        .grayscale = 0.2f}},
      {"everything",
       {.resized_crop = ResizedCrop{},
        .height = 16,
        .width = 12,
        .flip = true,
        .jitter = ColorJitter{.brightness = 0.8f, .contrast = 0.8f, .saturation = 0.8f, .hue = 0.2f},
        .grayscale = 0.2f,
        .blur = GaussianBlur{}}}};
  for (Pipeline& p : all) {
    p.options.mean = kMean;
    p.options.std = kStd;
  }
  return all;
}

const AugmentOptions& pipeline(const std::string& name) {
  static const std::vector<Pipeline> all = pipelines();
  for (const Pipeline& p : all)
    if (p.name == name) return p.options;
  throw std::logic_error("no such pipeline");
}

const std::map<std::string, Tensor>& fixture() {
  static const auto all = io::read_npz(tests::fixture("augment.npz"));
  return all;
}

constexpr int kH = 14, kW = 17, kImages = 4, kSeed = 77, kEpoch = 3;

Tensor ids(const std::vector<std::int64_t>& values, Device device = kCpu) {
  return Tensor::from_host({static_cast<std::int64_t>(values.size())}, values, device);
}
std::vector<std::int64_t> first(std::int64_t count) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}
Step step_of(Device device, std::uint64_t seed, int epoch) {
  Step s(device);
  s.set_key(seed, epoch);
  return s;
}
Tensor fixture_images(Device device) {
  return Tensor::from_host({kImages, kH, kW, 3}, fixture().at("image").to_host<std::uint8_t>(), device);
}
io::Image fixture_image(int n) {
  const auto bytes = fixture().at("image").to_host<std::uint8_t>();
  return {kW, kH, 3, {bytes.begin() + n * kH * kW * 3, bytes.begin() + (n + 1) * kH * kW * 3}};
}

// ------------------------------------------------------------------------------------ what is drawn
TEST(AugmentDraw, IsThatOfAnIndependentImplementation) {
  const auto samples = fixture().at("samples").to_host<std::int64_t>();
  int fallbacks = 0, blurs = 0;
  for (const Pipeline& p : pipelines()) {
    const Tensor table = fixture().at(std::string(p.name) + ".draws");
    const auto rows = table.to_host<float>();
    for (std::size_t i = 0; i < rows.size() / 15; ++i) {
      SCOPED_TRACE(concat(p.name, ", draw ", i));
      const float* e = &rows[15 * i];
      const Augmentation a =
          draw_augmentation(p.options, kH, kW, kSeed, kEpoch, samples[i % 4], static_cast<int>(i / 4));
      EXPECT_EQ(a.box.top, e[0]);
      EXPECT_EQ(a.box.left, e[1]);
      EXPECT_EQ(a.box.height, e[2]);
      EXPECT_EQ(a.box.width, e[3]);
      EXPECT_EQ(a.mirrored, e[4] != 0);
      EXPECT_EQ(a.gray, e[5] != 0);
      EXPECT_NEAR(a.sigma, e[6], 1e-6);
      int ops = 0;
      while (ops < 4 && e[7 + ops] >= 0)
        ++ops;
      ASSERT_EQ(a.color_ops, ops);
      for (int k = 0; k < ops; ++k) {
        const auto op = static_cast<int>(a.order[k]);
        EXPECT_EQ(op, e[7 + k]);
        EXPECT_NEAR(a.factor[op], e[11 + op], 1e-6);
      }
      fallbacks += std::string(p.name) == "narrow" && a.box.width == kW;
      blurs += a.sigma > 0;
    }
  }
  EXPECT_GE(fallbacks, 4) << "ten tries fail where the image is not as wide as the ratio";
  EXPECT_GE(blurs, 4);
}

TEST(AugmentDraw, MatchesTheDistributionsOfTorchvision) {
  const int count = 8000;
  AugmentOptions o = pipeline("everything");
  std::map<std::vector<int>, int> orders;
  double flips = 0, grays = 0, blurs = 0, jitters = 0, area = 0, ratio = 0, sigma = 0, brightness = 0,
         hue = 0;
  std::vector<double> scales;
  for (int i = 0; i < count; ++i) {
    const Augmentation a = draw_augmentation(o, 224, 224, 1, 2, i, i % 2);
    flips += a.mirrored;
    grays += a.gray;
    blurs += a.sigma > 0;
    sigma += static_cast<double>(a.sigma);
    const double share = a.box.height * a.box.width / (224.0 * 224.0);
    const double log_ratio = std::log(static_cast<double>(a.box.width) / a.box.height);
    EXPECT_TRUE(share > 0.078 && share < 1.001 && std::abs(log_ratio) < std::log(4 / 3.0) + 0.03);
    EXPECT_TRUE(a.box.top >= 0 && a.box.left >= 0 && a.box.top + a.box.height <= 224 &&
                a.box.left + a.box.width <= 224);
    scales.push_back(share);
    area += share;
    ratio += log_ratio;
    if (a.color_ops == 0) continue;
    ++jitters;
    brightness += static_cast<double>(a.factor[0]);
    hue += static_cast<double>(a.factor[3]);
    EXPECT_TRUE(a.factor[0] >= 0.2f && a.factor[0] < 1.8f && std::abs(a.factor[3]) <= 0.2f);
    ++orders[{int(a.order[0]), int(a.order[1]), int(a.order[2]), int(a.order[3])}];
  }
  // Five standard deviations of each mean.
  const auto near = [&](double sum, double n, double mean, double deviation, const char* what) {
    EXPECT_NEAR(sum / n, mean, 5 * deviation / std::sqrt(n)) << what;
  };
  near(flips, count, 0.5, 0.5, "flips");
  near(grays, count, 0.2, 0.4, "grays");
  near(blurs, count, 0.5, 0.5, "blurs");
  near(sigma, blurs, 1.05, 0.55, "sigma");
  near(jitters, count, 0.8, 0.4, "jitters");
  near(brightness, jitters, 1, 0.47, "brightness");
  near(hue, jitters, 0, 0.12, "hue");
  near(ratio, count, 0, 0.17, "logarithm of the ratio");
  // Uniform areas, but for large ones of a ratio that does not fit: nearly all areas below a half do.
  std::ranges::sort(scales);
  const auto below_half = std::ranges::lower_bound(scales, 0.5) - scales.begin();
  near(std::accumulate(scales.begin(), scales.begin() + below_half, 0.0), static_cast<double>(below_half),
       0.29, 0.1213, "areas below a half");
  EXPECT_EQ(orders.size(), 24u);
  double chi = 0;
  for (const auto& [order, n] : orders)
    chi += (n - jitters / 24) * (n - jitters / 24) / (jitters / 24);
  EXPECT_LT(chi, 23 + 5 * std::sqrt(46.0)) << "24 orders alike";
}

TEST(AugmentDraw, PlacesCropsUniformlyOver81Offsets) {
  std::map<std::pair<int, int>, int> places;
  const int count = 81 * 100;
  for (int i = 0; i < count; ++i) {
    const Augmentation a = draw_augmentation({.padding = 4}, 32, 32, 5, 0, i);
    ++places[{a.box.top, a.box.left}];
    EXPECT_TRUE(std::abs(a.box.top) <= 4 && std::abs(a.box.left) <= 4 && !a.mirrored);
  }
  EXPECT_EQ(places.size(), 81u);
  double chi = 0;
  for (const auto& [place, n] : places)
    chi += (n - 100) * (n - 100) / 100.0;
  EXPECT_LT(chi, 80 + 5 * std::sqrt(160.0));
}

TEST(AugmentDraw, DiffersBetweenViewsEpochsAndSeeds) {
  std::set<std::vector<int>> seen;
  const auto add = [&](std::uint64_t seed, int epoch, std::int64_t sample, int view) {
    const Box b = draw_augmentation(pipeline("everything"), 500, 375, seed, epoch, sample, view).box;
    seen.insert({b.top, b.left, b.height, b.width});
  };
  for (int i = 0; i < 5; ++i) {
    add(1, 0, 0, i);
    add(1, i + 1, 0, 0);
    add(i + 2, 0, 0, 0);
    add(1, 0, i + 1, 0);
  }
  EXPECT_EQ(seen.size(), 20u);
}

// ------------------------------------------------------------------------------------ what it makes of
// images
class AugmentImages : public DeviceTest {
 protected:
  static Step step() { return step_of(device(), kSeed, kEpoch); }
};
INSTANTIATE_TEST_SUITE_P(Devices, AugmentImages, every_device(), device_name);

TEST_P(AugmentImages, MatchesTorchvisionOnTensors) {
  const Tensor images = fixture_images(device());
  const Tensor samples = ids(fixture().at("samples").to_host<std::int64_t>(), device());
  for (const Pipeline& p : pipelines()) {
    const Tensor table = fixture().at(std::string(p.name) + ".tensor");
    for (int view = 0; view < 2; ++view) {
      SCOPED_TRACE(concat(p.name, ", view ", view));
      const Tensor y = augment_batch(images, samples, step(), p.options, view);
      EXPECT_TRUE(
          all_close(to_array(y), to_array(table.slice(view * kImages, (view + 1) * kImages)), {1e-5, 1e-5}));
    }
  }
}

TEST_P(AugmentImages, WritesBf16WithOneRoundingMore) {
  const Tensor images = fixture_images(device()), samples = ids({3, 1, 0, 2}, device());
  for (const char* name : {"crop", "contrastive", "everything"}) {
    AugmentOptions o = pipeline(name);
    const Array exact = to_array(augment_images(images, samples, step(), o));
    o.dtype = DType::bf16;
    const Tensor y = augment_images(images, samples, step(), o);
    ASSERT_EQ(y.dtype(), DType::bf16);
    EXPECT_EQ(to_array(y).values, map_to(DType::bf16, exact).values) << name;
  }
}

TEST_P(AugmentImages, AugmentsASampleAlikeInAnyBatch) {
  const Tensor images = fixture_images(device());
  const AugmentOptions& o = pipeline("everything");
  const Tensor all = augment_images(images, ids({0, 1, 2, 3}, device()), step(), o, 1);
  const Tensor other = augment_images(images, ids({3, 0, 3}, device()), step(), o, 1);
  EXPECT_TRUE(same_bits(all.slice(3, 4), other.slice(0, 1)));
  EXPECT_TRUE(same_bits(all.slice(0, 1), other.slice(1, 2)));
  EXPECT_TRUE(same_bits(all.slice(3, 4), other.slice(2, 3)));
  EXPECT_TRUE(same_bits(all, augment_batch(images, ids({0, 1, 2, 3}, device()), step(), o, 1)));
}

// Few and many channels, widths around a vector's, shrinking beyond what a pair of vectors holds.
TEST_P(AugmentImages, IsThatOfTheCpuOnEveryDevice) {
  struct Size {
    int H, W, C, height, width;
  };
  for (const Size& s : {Size{5, 3, 1, 2, 17}, Size{9, 70, 3, 7, 15}, Size{13, 33, 4, 12, 12},
                        Size{3, 16, 2, 5, 32}, Size{1, 1, 3, 2, 3}, Size{12, 95, 3, 4, 1}}) {
    SCOPED_TRACE(concat(s.H, "×", s.W, "×", s.C, " to ", s.height, "×", s.width));
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3 * s.H * s.W * s.C));
    for (std::size_t i = 0; i < pixels.size(); ++i)
      pixels[i] = static_cast<std::uint8_t>(philox(1, Purpose::test, 0, i).v[0]);
    AugmentOptions o{
        .resized_crop = ResizedCrop{.scale_low = 0.3}, .height = s.height, .width = s.width, .flip = true};
    if (s.C == 3) o.jitter = pipeline("everything").jitter;
    if (s.height > 11 && s.width > 11) o.blur = GaussianBlur{.p = 1};
    const auto run = [&](Device on) {
      return to_array(augment_images(Tensor::from_host({3, s.H, s.W, s.C}, pixels, on), ids({2, 0, 1}, on),
                                     step_of(on, 8, 1), o));
    };
    EXPECT_TRUE(all_close(run(device()), run(kCpu), {2e-6, 2e-6}));
  }
}

TEST_P(AugmentImages, RefusesWhatDoesNotFit) {
  const Tensor images = fixture_images(device()), some = ids({0, 1}, device());
  const Step now = step();
  const auto refuses = [&](const AugmentOptions& o, const char* why) {
    EXPECT_THROW(augment_images(images, some, now, o), Error) << why;
  };
  refuses({.mean = {0.5f}}, "one mean for three channels");
  refuses({.std = {1, 0, 1}}, "a deviation of 0");
  refuses({.padding = -1}, "padding");
  refuses({.padding = 2, .resized_crop = ResizedCrop{}}, "padding and a resized crop");
  refuses({.height = 7}, "a new size without a resized crop");
  refuses({.resized_crop = ResizedCrop{}, .height = -1}, "a height of -1");
  refuses({.resized_crop = ResizedCrop{.scale_low = 0}}, "an area of 0");
  refuses({.resized_crop = ResizedCrop{.scale_low = 0.5, .scale_high = 0.4}}, "scales the wrong way round");
  refuses({.resized_crop = ResizedCrop{.scale_high = 1.1}}, "more than the image");
  refuses({.resized_crop = ResizedCrop{.ratio_low = 0}}, "a ratio of 0");
  refuses({.resized_crop = ResizedCrop{.ratio_low = 2}}, "ratios the wrong way round");
  refuses({.jitter = ColorJitter{.brightness = -1}}, "a negative strength");
  refuses({.jitter = ColorJitter{.hue = 0.6f}}, "more than half a turn");
  refuses({.jitter = ColorJitter{.brightness = 1, .p = 1.5f}}, "a probability above 1");
  refuses({.grayscale = -0.1f}, "a probability below 0");
  refuses({.blur = GaussianBlur{.sigma_low = 0}}, "a sigma of 0");
  refuses({.blur = GaussianBlur{.sigma_low = 3}}, "sigmas the wrong way round");
  refuses({.resized_crop = ResizedCrop{}, .height = 11, .blur = GaussianBlur{}}, "too low for the blur");
  refuses({.dtype = DType::u8}, "u8");
  EXPECT_THROW(augment_images(images, some, now, {}, -1), Error) << "view -1";
  EXPECT_THROW(augment_images(images.reshape({kImages, kH, kW * 3, 1}), some, now, {.grayscale = 1}), Error);
  EXPECT_THROW(augment_batch(images, some, now, {}), Error) << "two samples for four images";
  EXPECT_THROW(augment_images(images, some, step_of(device() == kCpu ? kEmulated : kCpu, 1, 1), {}), Error);
  if (device().kind == DeviceKind::cuda) return;  // reading the samples would wait for the device
  EXPECT_THROW(augment_images(images, ids({0, kImages}, device()), now, {.grayscale = 1}), Error);
  EXPECT_THROW(augment_batch(images, ids({0, 1, 2, -1}, device()), now, {.grayscale = 1}), Error);
}

// ------------------------------------------------------------------------------------ in 8 bits
TEST(PilAugment, HasTheBytesOfTorchvision) {
  const auto samples = fixture().at("samples").to_host<std::int64_t>();
  for (const Pipeline& p : pipelines()) {
    const Tensor table = fixture().at(std::string(p.name) + ".pil");
    const auto expected = table.to_host<std::uint8_t>();
    const std::size_t size = expected.size() / (2 * kImages);
    for (int i = 0; i < 2 * kImages; ++i) {
      const Augmentation drawn = draw_augmentation(p.options, kH, kW, kSeed, kEpoch,
                                                   samples[static_cast<std::size_t>(i % 4)], i / 4);
      const io::Image y = pil_augment(fixture_image(i % kImages), p.options, drawn);
      ASSERT_EQ(y.pixels.size(), size);
      EXPECT_TRUE(std::equal(y.pixels.begin(), y.pixels.end(),
                             expected.begin() + i * static_cast<std::ptrdiff_t>(size)))
          << p.name << ", image " << i;
    }
  }
}

// With the same draws. A step cuts or rounds once (the resize twice), and later steps may stretch that. The
// 8-bit hue is off by up to three 255ths of a turn (H is cut, the turns are cut, and there are 256 hues to a
// circle of 255), each of them 6/255 of a saturated color; S and the way back add one each.
TEST(PilAugment, IsCloseToTheFloatPath) {
  struct Bound {
    const char* name;
    double most, mean;
  };
  const std::vector<std::int64_t> samples = first(kImages);
  for (const Bound& b :
       {Bound{"crop", 1e-3, 1e-3}, Bound{"resized_crop", 1.01, 0.35}, Bound{"shrunk", 1.01, 0.35},
        Bound{"gray", 1.01, 0.5}, Bound{"brightness", 1.01, 0.6}, Bound{"contrast", 2.5, 0.8},
        Bound{"saturation", 2.01, 0.7}, Bound{"hue", 20, 3}, Bound{"contrastive", 18, 3}}) {
    const AugmentOptions& o = pipeline(b.name);
    double most = 0, sum = 0, count = 0;
    for (int view = 0; view < 6; ++view) {
      const Array y =
          to_array(augment_images(fixture_images(kCpu), ids(samples), step_of(kCpu, kSeed, kEpoch), o, view));
      for (int n = 0; n < kImages; ++n) {
        const auto exact =
            pil_augment(fixture_image(n), o, draw_augmentation(o, kH, kW, kSeed, kEpoch, n, view));
        for (std::size_t i = 0; i < exact.pixels.size(); ++i, ++count) {
          const auto at = static_cast<std::int64_t>(exact.pixels.size()) * n + static_cast<std::int64_t>(i);
          const double value = y[at] * static_cast<double>(kStd[i % 3]) + static_cast<double>(kMean[i % 3]);
          const double d = std::abs(255 * value - exact.pixels[i]);
          most = std::max(most, d);
          sum += d;
        }
      }
    }
    EXPECT_LE(most, b.most) << b.name;
    EXPECT_LE(sum / count, b.mean) << b.name;
  }
}

TEST(AugmentThreads, ChangeNoBit) {
  const int threads = kernels::threads();
  const std::vector<std::int64_t> samples{3, 1, 2, 0, 1, 1, 0, 3, 2};
  for (const char* name : {"crop", "contrastive", "everything"}) {
    std::set<std::vector<std::uint8_t>> seen;
    for (const int count : {1, 2, 3}) {
      kernels::set_threads(count);
      seen.insert(
          bits(augment_images(fixture_images(kCpu), ids(samples), step_of(kCpu, 1, 2), pipeline(name))));
    }
    EXPECT_EQ(seen.size(), 1u) << name;
  }
  kernels::set_threads(threads);
}

}  // namespace
}  // namespace clx::tests
