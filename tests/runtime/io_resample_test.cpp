// Pictures of photo collections as Pillow decodes them, and parts of them at other sizes: the same bytes.
#include <gtest/gtest.h>

#include "runtime/check.h"
#include "runtime/io/npz.h"
#include "runtime/io/resample.h"
#include "tests/paths.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::io {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::filesystem::path fixture(const std::string& name) {
  return tests::fixture("images/" + name);
}

const std::map<std::string, Tensor>& expected() {
  static const std::map<std::string, Tensor> arrays = read_npz(fixture("expected.npz"));
  return arrays;
}

Bytes bytes_of(const std::string& key) {
  return expected().at(key).to_host<std::uint8_t>();
}

Image photo(bool grey = false) {
  return read_image(fixture("photo.jpg"), {.grey = grey});
}

TEST(Photos, are_decoded_to_the_bytes_of_pillow) {
  int compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(fixture(""))) {
    const std::string name = entry.path().filename().string();
    if (name == "expected.npz") continue;
    SCOPED_TRACE(name);
    const Image image = read_image(entry.path());
    ASSERT_EQ(Shape({image.height, image.width, 3}), expected().at(name).shape());
    EXPECT_EQ(image.pixels, bytes_of(name));
    ++compared;
  }
  EXPECT_EQ(compared, 15);
}

TEST(Photos, are_decoded_into_memory_that_was_used_before) {
  const Bytes file = read_file(fixture("photo.jpg"));
  Bytes memory(5000, 7);
  memory.reserve(100'000);
  const std::uint8_t* place = memory.data();
  const Image image = decode_image(file, "x", {}, std::move(memory));
  EXPECT_EQ(image.pixels.data(), place);
  EXPECT_EQ(image.pixels, bytes_of("photo.jpg"));
}

TEST(ResizedCrop, gives_the_bytes_of_pillow) {
  const std::vector<std::int32_t> boxes = expected().at("boxes").to_host<std::int32_t>();
  ASSERT_EQ(boxes.size() % 6, 0u);
  for (const bool grey : {false, true}) {
    const Image image = photo(grey);
    for (std::size_t i = 0; i < boxes.size() / 6; ++i) {
      SCOPED_TRACE((grey ? "grey box " : "rgb box ") + std::to_string(i));
      const std::int32_t* b = boxes.data() + 6 * i;
      Bytes y(static_cast<std::size_t>(b[4] * b[5] * image.channels));
      resized_crop(image, {b[0], b[1], b[2], b[3]}, b[4], b[5], y.data());
      EXPECT_EQ(y, bytes_of((grey ? "grey_box" : "rgb_box") + std::to_string(i)));
    }
  }
}

TEST(ResizedCrop, treats_two_and_four_channels_like_one_each) {
  const Image rgb = photo();
  for (const int channels : {2, 4}) {
    Image image{rgb.width, rgb.height, channels, {}};
    for (std::size_t p = 0; p < rgb.pixels.size(); p += 3)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(rgb.pixels[p + static_cast<std::size_t>(c % 3)]);
    Bytes expected(31 * 17 * 3), y(31 * 17 * static_cast<std::size_t>(channels));
    resized_crop(rgb, {2, 3, 29, 40}, 31, 17, expected.data());
    resized_crop(image, {2, 3, 29, 40}, 31, 17, y.data());
    for (std::size_t p = 0; p < 31 * 17; ++p)
      for (int c = 0; c < channels; ++c)
        ASSERT_EQ(y[p * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c)],
                  expected[p * 3 + static_cast<std::size_t>(c % 3)]);
  }
}

TEST(ResizedCenter, is_resize_and_center_crop_of_torchvision) {
  const std::vector<std::int32_t> squares = expected().at("squares").to_host<std::int32_t>();
  const Image image = photo(), grey = photo(true);
  Image mask = grey;
  for (std::uint8_t& p : mask.pixels)
    p = p < 90 ? 255 : 0;
  for (std::size_t i = 0; i < squares.size() / 2; ++i) {
    SCOPED_TRACE(i);
    const int shorter = squares[2 * i], side = squares[2 * i + 1];
    Bytes y(static_cast<std::size_t>(side * side * 3)), m(static_cast<std::size_t>(side * side));
    resized_center(image, shorter, side, y.data());
    EXPECT_EQ(y, bytes_of("square" + std::to_string(i)));
    resized_mask(mask, shorter, side, m.data());
    EXPECT_EQ(m, bytes_of("mask" + std::to_string(i)));
  }
}

TEST(ResizedCenter, keeps_the_shorter_side_of_a_tall_image) {
  const Image wide = photo();
  Image tall{wide.height, wide.width, 3, Bytes(wide.pixels.size())};  // turned by 90° counter-clockwise
  for (int y = 0; y < tall.height; ++y)
    for (int x = 0; x < tall.width; ++x)
      for (int c = 0; c < 3; ++c)
        tall.pixels[static_cast<std::size_t>((y * tall.width + x) * 3 + c)] =
            wide.pixels[static_cast<std::size_t>((x * wide.width + wide.width - 1 - y) * 3 + c)];
  Bytes y(16 * 16 * 3);
  resized_center(tall, 20, 16, y.data());
  EXPECT_EQ(y, bytes_of("tall_square"));
}

TEST(ResizedCenter, sees_an_object_in_any_channel_of_a_mask) {
  const Bytes pixels = {0, 0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0};
  Bytes y(4);
  resized_mask({2, 2, 3, pixels.data()}, 2, 2, y.data());
  EXPECT_EQ(y, (Bytes{0, 1, 1, 0}));
}

TEST(ResizedCrop, refuses_boxes_and_sizes_that_are_none) {
  const Image image = photo();
  Bytes y(100 * 100 * 3);
  const auto refused = [&](Rectangle box, int height, int width) {
    EXPECT_THROW(resized_crop(image, box, height, width, y.data()), Error);
  };
  refused({0, 0, 34, 47}, 5, 5);
  refused({1, 0, 33, 47}, 5, 5);
  refused({0, -1, 5, 5}, 5, 5);
  refused({0, 0, 0, 5}, 5, 5);
  refused({0, 0, 5, 5}, 0, 5);
  EXPECT_THROW(resized_crop(ImageView(), {0, 0, 1, 1}, 5, 5, y.data()), Error);
  EXPECT_THROW(resized_center(image, 10, 11, y.data()), Error);
  EXPECT_THROW(resized_mask(image, 10, 0, y.data()), Error);
}

}  // namespace
}  // namespace clx::io
