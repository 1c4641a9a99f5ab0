#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/check.h"
#include "runtime/io/codec.h"
#include "runtime/io/image.h"
#include "runtime/io/npz.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Bytes = std::vector<std::uint8_t>;

// CRC-32 of a PNG chunk, so that a changed header still is a valid one.
void set_png_size(Bytes& png, std::uint32_t width, std::uint32_t height) {
  for (std::size_t i = 0; i < 4; ++i) {
    png[16 + i] = static_cast<std::uint8_t>(width >> (24 - 8 * i));
    png[20 + i] = static_cast<std::uint8_t>(height >> (24 - 8 * i));
  }
  std::uint32_t crc = 0xffffffffu;
  for (std::size_t i = 12; i < 29; ++i) {
    crc ^= png[i];
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
  }
  for (std::size_t i = 0; i < 4; ++i)
    png[29 + i] = static_cast<std::uint8_t>(~crc >> (24 - 8 * i));
}

// The frame header of a JPEG: its marker is 0xffc0 or, progressive, 0xffc2.
void set_jpeg_size(Bytes& jpeg, std::uint16_t width, std::uint16_t height) {
  for (std::size_t i = 2; i + 9 < jpeg.size(); i += 2 + (jpeg[i + 2] << 8 | jpeg[i + 3])) {
    if (jpeg[i + 1] != 0xc0 && jpeg[i + 1] != 0xc2) continue;
    jpeg[i + 5] = static_cast<std::uint8_t>(height >> 8);
    jpeg[i + 6] = static_cast<std::uint8_t>(height);
    jpeg[i + 7] = static_cast<std::uint8_t>(width >> 8);
    jpeg[i + 8] = static_cast<std::uint8_t>(width);
    return;
  }
  FAIL() << "no frame header";
}

std::string refusal(const Bytes& bytes, const DecodeOptions& options = {}) {
  return message_of<DataError>([&] { decode_image(bytes, "x.img", options); });
}

TEST(Image, DecodesToThePixelsOfPillow) {
  const auto expected = read_npz(io_fixture("pictures.npz"));
  int compared = 0;
  for (const auto& [key, pixels] : expected) {
    SCOPED_TRACE(key);
    const std::size_t colon = key.find(':');
    const std::string form = key.substr(colon + 1);
    const Image image =
        read_image(io_fixture(key.substr(0, colon)), {.grey = form == "grey", .upright = form == "upright"});
    ASSERT_EQ(Shape({image.height, image.width, image.channels}), pixels.shape());
    EXPECT_EQ(image.pixels, pixels.to_host<std::uint8_t>());
    ++compared;
  }
  EXPECT_EQ(compared, 67);
}

TEST(Image, EncodesToPngThatDecodesToTheSame) {
  const ScratchFolder folder;
  for (const int channels : {1, 3}) {
    Image image{31, 17, channels, {}};
    for (int i = 0; i < 31 * 17 * channels; ++i)
      image.pixels.push_back(static_cast<std::uint8_t>(i * 37 % 251));
    write_png(folder / "a.png", image);
    const Image back = read_image(folder / "a.png", {.grey = channels == 1});
    EXPECT_EQ(back.width, 31);
    EXPECT_EQ(back.height, 17);
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.pixels, image.pixels);
  }
  const Image rgba{1, 2, 4, {1, 2, 3, 4, 5, 6, 7, 8}};
  EXPECT_THAT(decode_image(encode_png(rgba), "x").pixels, ElementsAre(1, 2, 3, 5, 6, 7));
}

TEST(Image, RefusesToEncodeWhatDoesNotFit) {
  const ScratchFolder folder;
  const auto encode = [&](Image image) {
    return message_of<Error>([&] { write_png(folder / "a.png", image); });
  };
  EXPECT_THAT(encode({0, 1, 3, {}}), HasSubstr("at least 1x1 pixels, got 0x1"));
  EXPECT_THAT(encode({1, 1, 2, {1, 2}}), HasSubstr("1, 3 or 4 channels, got 2"));
  EXPECT_THAT(encode({2, 1, 3, {1, 2, 3}}), HasSubstr("6 bytes of pixels, got 3"));
  EXPECT_TRUE(folder.names().empty());
}

TEST(Image, DecodesASinglePixel) {
  for (const char* name : {"pixel.png", "pixel.jpg"}) {
    const Image image = read_image(io_fixture(name));
    EXPECT_EQ(image.width, 1);
    EXPECT_EQ(image.height, 1);
    EXPECT_EQ(image.pixels.size(), 3u);
  }
}

TEST(Image, RefusesHugeHeadersBeforeAllocating) {
  Bytes png = read_file(io_fixture("rgb.png"));
  set_png_size(png, 20'000, 20'000);
  EXPECT_THAT(refusal(png),
              HasSubstr("x.img: expected an image of 1 to 16384 pixels a side and 67108864 in all, got "
                        "20000x20000"));
  set_png_size(png, 16'384, 16'384);
  EXPECT_THAT(refusal(png), HasSubstr("got 16384x16384"));
  set_png_size(png, 0xffffffff, 1);
  EXPECT_THAT(refusal(png), HasSubstr("got 4294967295x1"));
  set_png_size(png, 0, 5);
  EXPECT_THAT(refusal(png), HasSubstr("got 0x5"));
  Bytes jpeg = read_file(io_fixture("rgb.jpg"));
  set_jpeg_size(jpeg, 20'000, 20'000);
  EXPECT_THAT(refusal(jpeg), HasSubstr("got 20000x20000"));
  EXPECT_THAT(refusal(read_file(io_fixture("rgb.png")), {.max_side = 16}), HasSubstr("got 17x13"));
  EXPECT_THAT(refusal(read_file(io_fixture("rgb.jpg")), {.max_pixels = 220}), HasSubstr("got 17x13"));
  EXPECT_NO_THROW(read_image(io_fixture("rgb.jpg"), {.max_side = 17, .max_pixels = 221}));
}

TEST(Image, RefusesEveryTruncation) {
  for (const char* name :
       {"rgb.png", "interlaced.png", "grey16.png", "rgb.jpg", "progressive.jpg", "cmyk.jpg"}) {
    const Bytes bytes = read_file(io_fixture(name));
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      const Bytes part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
      EXPECT_THROW(decode_image(part, "x"), DataError) << name << " cut to " << n;
    }
  }
}

TEST(Image, RefusesWhatIsNoImage) {
  EXPECT_THAT(refusal({}), HasSubstr("expected a PNG or JPEG image, got an empty file"));
  EXPECT_THAT(refusal({'G', 'I', 'F', '8', '9'}), HasSubstr("got one that begins with 47 49 46 38"));
  EXPECT_THAT(refusal({0x89, 'P', 'N'}), HasSubstr("got one that begins with 89 50 4e"));
  EXPECT_THAT(message_of<DataError>([] { read_image(io_fixture("none.png")); }),
              HasSubstr("none.png: No such file"));
  EXPECT_THAT(message_of<DataError>([] { read_image(io_fixture("f32.npy")); }),
              HasSubstr("f32.npy: expected a PNG"));
}

TEST(Image, NamesTheFileAndTheDamage) {
  Bytes png = read_file(io_fixture("rgb.png"));
  png[60] ^= 0xff;
  EXPECT_THAT(refusal(png), HasSubstr("reading x.img: expected a whole PNG image, got: "));
  Bytes jpeg = read_file(io_fixture("rgb.jpg"));
  jpeg.resize(jpeg.size() / 2);
  EXPECT_THAT(refusal(jpeg),
              HasSubstr("reading x.img: expected a whole JPEG image, got: the file ends early"));
}

TEST(ExifOrientation, TakesDamagedBlocksAsUpright) {
  Bytes tiff{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0};
  EXPECT_EQ(exif_orientation(tiff), 6);
  for (std::size_t n = 0; n < tiff.size(); ++n)
    EXPECT_EQ(exif_orientation({tiff.data(), n}), 1) << n;
  tiff[19] = 9;
  EXPECT_EQ(exif_orientation(tiff), 1);
  tiff[4] = 0xff;
  EXPECT_EQ(exif_orientation(tiff), 1);
}

}  // namespace
}  // namespace clx::io
