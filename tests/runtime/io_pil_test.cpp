// Pillow's bytes: golden values, fixtures made by torchvision on PIL images, and what is refused.
#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "runtime/check.h"
#include "runtime/io/npz.h"
#include "runtime/io/pil.h"
#include "tests/paths.h"

namespace clx::tests {
namespace {

using io::Image;

/// FNV-1a of 64 bits from the start value of the golden hashes.
class Hash {
 public:
  Hash& add(const std::vector<std::uint8_t>& bytes, std::size_t step = 1) {
    for (std::size_t i = 0; i < bytes.size(); i += step)
      value_ = (value_ ^ bytes[i]) * 1099511628211u;
    return *this;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 1469598103934665603u;
};

template <class F>
Image gray_image(int height, int width, F&& value) {
  Image x{width, height, 1, {}};
  for (int h = 0; h < height; ++h)
    for (int w = 0; w < width; ++w)
      x.pixels.push_back(static_cast<std::uint8_t>(value(h, w)));
  return x;
}

Image one_pixel(int r, int g, int b) {
  return {
      1, 1, 3, {static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(g), static_cast<std::uint8_t>(b)}};
}

/// Turns whose 255ths, cut, are `shift`.
float turns_of(int shift) {
  return static_cast<float>((shift + (shift > 0 ? 0.5 : shift < 0 ? -0.5 : 0)) / 255);
}

// ------------------------------------------------------------------------------------ golden values
TEST(PilColor, HasTheGoldenColorsOfPillow) {
  struct Row {
    std::vector<std::uint8_t> rgb, same, plus, minus;
    int luma;
  };
  const std::vector<Row> rows = {{{255, 0, 0}, {255, 0, 0}, {255, 150, 0}, {255, 0, 144}, 76},
                                 {{0, 255, 0}, {0, 255, 0}, {0, 255, 150}, {150, 255, 0}, 150},
                                 {{0, 0, 255}, {0, 0, 255}, {150, 0, 255}, {0, 150, 255}, 29},
                                 {{200, 100, 50}, {200, 100, 50}, {200, 188, 50}, {200, 50, 85}, 124},
                                 {{12, 34, 56}, {12, 35, 56}, {15, 12, 56}, {12, 56, 51}, 30},
                                 {{250, 251, 252}, {250, 251, 252}, {250, 250, 252}, {250, 252, 252}, 251},
                                 {{128, 128, 128}, {128, 128, 128}, {128, 128, 128}, {128, 128, 128}, 128},
                                 {{90, 200, 199}, {90, 200, 199}, {90, 137, 200}, {90, 200, 134}, 167},
                                 {{255, 0, 254}, {252, 0, 255}, {255, 0, 108}, {102, 0, 255}, 105}};
  for (const Row& row : rows) {
    SCOPED_TRACE(concat(int(row.rgb[0]), ",", int(row.rgb[1]), ",", int(row.rgb[2])));
    const Image x{1, 1, 3, row.rgb};
    EXPECT_EQ(io::adjust_hue(x, 0).pixels, row.same);
    EXPECT_EQ(io::adjust_hue(x, 0.1f).pixels, row.plus);
    EXPECT_EQ(io::adjust_hue(x, -0.1f).pixels, row.minus);
    EXPECT_EQ(io::luma(row.rgb[0], row.rgb[1], row.rgb[2]), row.luma);
    EXPECT_EQ(io::grayscale(x).pixels, std::vector<std::uint8_t>(3, static_cast<std::uint8_t>(row.luma)));
  }
}

TEST(PilColor, HasTheGoldenBlendsOfPillow) {
  const auto brightness = [](int x, float f) {
    return int(io::adjust_brightness(one_pixel(x, x, x), f).pixels[0]);
  };
  EXPECT_EQ(brightness(200, 0.5f), 100);
  EXPECT_EQ(brightness(201, 0.7f), 140);
  EXPECT_EQ(brightness(200, 1.3f), 255);
  // A gray image and one pixel of it: the mean luma is 128 and 100.
  const auto contrast = [](int mean, int x, float f) {
    std::vector<std::uint8_t> pixels(3 * 1001, static_cast<std::uint8_t>(mean));
    std::fill_n(pixels.begin(), 3, static_cast<std::uint8_t>(x));
    return int(io::adjust_contrast({1001, 1, 3, pixels}, f).pixels[0]);
  };
  EXPECT_EQ(contrast(128, 200, 1.4f), 228);
  EXPECT_EQ(contrast(128, 20, 1.4f), 0);
  EXPECT_EQ(contrast(100, 37, 0.63f), 60);
}

TEST(PilColor, HasPillowsBytesForEveryColor) {
  Hash same, plus, minus, gray;
  Image x{256, 256, 3, std::vector<std::uint8_t>(3 * 65536)};
  for (int r = 0; r < 256; ++r) {
    for (std::size_t i = 0; i < 65536; ++i) {
      x.pixels[3 * i] = static_cast<std::uint8_t>(r);
      x.pixels[3 * i + 1] = static_cast<std::uint8_t>(i >> 8);
      x.pixels[3 * i + 2] = static_cast<std::uint8_t>(i);
    }
    same.add(io::adjust_hue(x, 0).pixels);
    plus.add(io::adjust_hue(x, turns_of(25)).pixels);
    minus.add(io::adjust_hue(x, turns_of(-31)).pixels);
    gray.add(io::grayscale(x).pixels, 3);
  }
  EXPECT_EQ(same.value(), 0x9226b51c2440f097u);
  EXPECT_EQ(plus.value(), 0xda835fb2ba3e4c6du);
  EXPECT_EQ(minus.value(), 0xeaffb39cbf724b6cu);
  EXPECT_EQ(gray.value(), 0xe0eaac0af5d4d7aau);
}

TEST(PilResize, HasTheGoldenValuesOfPillow) {
  const Image x = gray_image(5, 7, [](int h, int w) { return 37 * w + 91 * h + 13 * w * h; });
  using Bytes = std::vector<std::uint8_t>;
  EXPECT_EQ(io::resize(x, 3, 4).pixels, (Bytes{61, 128, 127, 163, 151, 142, 148, 140, 106, 125, 142, 131}));
  EXPECT_EQ(io::resize(x, 5, 4).pixels, (Bytes{19,  77,  145, 203, 117, 195, 103, 109, 203, 108,
                                               173, 137, 57,  175, 131, 177, 142, 88,  150, 96}));
  EXPECT_EQ(io::resize(x, 2, 7).pixels,
            (Bytes{79, 129, 121, 171, 105, 155, 147, 87, 163, 99, 175, 135, 129, 147}));
  const Bytes up = io::resize(x, 8, 8).pixels;
  EXPECT_EQ(Bytes(up.begin(), up.begin() + 8), (Bytes{0, 30, 62, 95, 127, 160, 192, 222}));
  EXPECT_EQ(Bytes(up.end() - 8, up.end()), (Bytes{108, 180, 82, 80, 158, 156, 58, 130}));
  EXPECT_EQ(io::resize(x, 5, 7).pixels, x.pixels);
}

TEST(PilResize, HasTheGoldenHashesOfPillow) {
  const Image x = gray_image(24, 20, [](int h, int w) {
    const int i = 20 * h + w;
    return (i * i * 7 + 13 * i) % 251;
  });
  EXPECT_EQ(Hash().add(io::resize(x, 32, 32).pixels).value(), 0x9a3c99f8add1c35fu);
  const Image photo =
      gray_image(375, 500, [](int h, int w) { return 3 * w * w + 5 * h * h + 7 * w * h + (w ^ h); });
  const Image smaller = io::resize_shorter(photo, 256);
  EXPECT_EQ(smaller.height, 256);
  EXPECT_EQ(smaller.width, 341);
  EXPECT_EQ(Hash().add(smaller.pixels).value(), 0x738c6f2e13b629e5u);
  const Image middle = io::center_crop(smaller, 224, 224);
  EXPECT_EQ(middle.pixels, io::crop(smaller, 16, 58, 224, 224).pixels);
  EXPECT_EQ(Hash().add(middle.pixels).value(), 0x8def0e4b66d6f62bu);
}

// ------------------------------------------------------------------------------------ fixtures
class Pil : public testing::Test {
 protected:
  static std::map<std::string, Tensor> fixture() {
    static const auto all = io::read_npz(tests::fixture("augment.npz"));
    return all;
  }
  static std::vector<Image> images(const std::string& name) {
    const Tensor t = fixture().at(name);
    const bool many = t.rank() == 4;
    const auto height = static_cast<int>(t.dim(many ? 1 : 0)), width = static_cast<int>(t.dim(many ? 2 : 1));
    const auto bytes = t.to_host<std::uint8_t>();
    std::vector<Image> all;
    const std::ptrdiff_t size = std::ptrdiff_t(height) * width * 3;
    for (auto begin = bytes.begin(); begin != bytes.end(); begin += size)
      all.push_back({width, height, 3, {begin, begin + size}});
    return all;
  }
  template <class F>
  static void check_all(const std::string& expected, F&& f) {
    const auto x = images("image"), y = images(expected);
    for (std::size_t i = 0; i < x.size(); ++i)
      EXPECT_EQ(f(x[i]).pixels, y[i].pixels) << expected << ", image " << i;
  }
};

TEST_F(Pil, ResizesCropsAsTorchvisionDoes) {
  const auto x = images("image");
  const auto boxes = fixture().at("boxes").to_host<std::int32_t>();
  for (std::size_t i = 0; i < boxes.size() / 6; ++i) {
    const std::int32_t* b = &boxes[6 * i];
    EXPECT_EQ(io::resized_crop(x[i % x.size()], b[0], b[1], b[2], b[3], b[4], b[5]).pixels,
              images(concat("resized_", i))[0].pixels)
        << "box " << i;
  }
  const int sides[] = {9, 14, 21};
  for (std::size_t i = 0; i < 3; ++i) {
    const Image y = io::resize_shorter(x[i], sides[i]), expected = images(concat("shorter_", i))[0];
    EXPECT_EQ(y.width, expected.width);
    EXPECT_EQ(y.pixels, expected.pixels) << sides[i];
    Image turned{x[i].height, x[i].width, 3, x[i].pixels};  // a quarter turn to the left
    for (int h = 0; h < turned.height; ++h)
      for (int w = 0; w < turned.width; ++w)
        for (int c = 0; c < 3; ++c)
          turned.pixels[static_cast<std::size_t>((h * turned.width + w) * 3 + c)] =
              x[i].pixels[static_cast<std::size_t>((w * x[i].width + x[i].width - 1 - h) * 3 + c)];
    EXPECT_EQ(io::resize_shorter(turned, sides[i]).pixels, images(concat("turned_", i))[0].pixels)
        << sides[i];
  }
}

TEST_F(Pil, CropsAndMirrorsAsTorchvisionDoes) {
  check_all("mirror", [](const Image& x) { return io::mirror(x); });
  check_all("padded", [](const Image& x) { return io::crop_padded(x, -3, 2, x.height, x.width); });
  EXPECT_EQ(io::center_crop(images("image")[0], 9, 10).pixels, images("center")[0].pixels);
}

TEST_F(Pil, ChangesColorsAsTorchvisionDoes) {
  const auto factors = fixture().at("factors").to_host<float>();
  for (std::size_t i = 0; i < factors.size(); ++i) {
    check_all(concat("brightness_", i), [&](const Image& x) { return io::adjust_brightness(x, factors[i]); });
    check_all(concat("contrast_", i), [&](const Image& x) { return io::adjust_contrast(x, factors[i]); });
    check_all(concat("saturation_", i), [&](const Image& x) { return io::adjust_saturation(x, factors[i]); });
  }
  const auto turns = fixture().at("turns").to_host<float>();
  for (std::size_t i = 0; i < turns.size(); ++i)
    check_all(concat("hue_", i), [&](const Image& x) { return io::adjust_hue(x, turns[i]); });
  check_all("gray", [](const Image& x) { return io::grayscale(x); });
}

TEST_F(Pil, RefusesWhatDoesNotFit) {
  const Image x = images("image")[0], gray = gray_image(3, 3, [](int, int) { return 1; });
  EXPECT_THROW(io::crop(x, -1, 0, 3, 3), Error);
  EXPECT_THROW(io::crop(x, 0, 5, 3, 13), Error) << "one column beyond the image";
  EXPECT_THROW(io::crop(x, 0, 0, 0, 3), Error);
  EXPECT_THROW(io::center_crop(x, 15, 3), Error);
  EXPECT_THROW(io::resize(x, 0, 3), Error);
  EXPECT_THROW(io::resize(x, 3, -1), Error);
  EXPECT_THROW(io::resize_shorter(x, 0), Error);
  EXPECT_THROW(io::resize({}, 3, 3), Error) << "no pixels";
  EXPECT_THROW(io::mirror({4, 4, 3, {1, 2, 3}}), Error) << "too few bytes";
  EXPECT_THROW(io::grayscale(gray), Error);
  EXPECT_THROW(io::adjust_saturation(gray, 0.5f), Error);
  EXPECT_THROW(io::adjust_hue(x, 0.6f), Error);
  EXPECT_THROW(io::adjust_brightness(x, -0.1f), Error);
  EXPECT_THROW(io::adjust_contrast(x, std::numeric_limits<float>::quiet_NaN()), Error);
}

}  // namespace
}  // namespace clx::tests
