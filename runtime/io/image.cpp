#include "runtime/io/image.h"

#include <array>

#include "runtime/check.h"
#include "runtime/io/codec.h"
#include "runtime/io/file.h"

namespace clx::io {
namespace {

constexpr std::uint64_t kMaxImageBytes = std::uint64_t{1} << 30;

// a·b / 255, rounded.
int scaled(int a, int b) {
  const int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

// Adobe's inverted CMYK: 255 means no ink, so the product is the light that is left.
std::array<std::uint8_t, 3> rgb_of_cmyk(const std::uint8_t* p) {
  std::array<std::uint8_t, 3> rgb{};
  for (std::size_t c = 0; c < 3; ++c) {
    const int light = p[3] - scaled(255 - p[c], p[3]);
    rgb[c] = static_cast<std::uint8_t>(light < 0 ? 0 : light);
  }
  return rgb;
}

std::uint8_t luma(int r, int g, int b) {
  return static_cast<std::uint8_t>((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16);
}

Image with_channels(const Image& from, int channels) {
  Image to{from.width, from.height, channels, {}};
  const std::size_t n = static_cast<std::size_t>(from.width) * static_cast<std::size_t>(from.height);
  to.pixels.resize(n * static_cast<std::size_t>(channels));
  const std::uint8_t* p = from.pixels.data();
  std::uint8_t* q = to.pixels.data();
  for (std::size_t i = 0; i < n; ++i, p += from.channels, q += channels) {
    std::array<std::uint8_t, 3> rgb{p[0], p[0], p[0]};
    if (from.channels == 3) rgb = {p[0], p[1], p[2]};
    if (from.channels == 4) rgb = rgb_of_cmyk(p);
    if (channels == 1) {
      q[0] = from.channels == 1 ? p[0] : luma(rgb[0], rgb[1], rgb[2]);
    } else {
      q[0] = rgb[0];
      q[1] = rgb[1];
      q[2] = rgb[2];
    }
  }
  return to;
}

// EXIF: 2 mirrors left to right, 3 turns by 180°, 4 mirrors top to bottom; from 5 on rows are columns.
Image turned(const Image& from, int orientation) {
  const bool transposed = orientation >= 5;
  Image to{transposed ? from.height : from.width, transposed ? from.width : from.height, from.channels, {}};
  to.pixels.resize(from.pixels.size());
  const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  std::uint8_t* q = to.pixels.data();
  for (int y = 0; y < to.height; ++y) {
    for (int x = 0; x < to.width; ++x) {
      int source_x = transposed ? y : x;
      int source_y = transposed ? x : y;
      if (mirror_x) source_x = from.width - 1 - source_x;
      if (mirror_y) source_y = from.height - 1 - source_y;
      const std::size_t at = static_cast<std::size_t>(source_y) * static_cast<std::size_t>(from.width) +
                             static_cast<std::size_t>(source_x);
      const std::uint8_t* p = from.pixels.data() + at * static_cast<std::size_t>(from.channels);
      for (int c = 0; c < from.channels; ++c)
        *q++ = p[c];
    }
  }
  return to;
}

std::string first_bytes(std::span<const std::uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < bytes.size() && i < 4; ++i)
    text += {' ', kDigits[bytes[i] >> 4], kDigits[bytes[i] & 15]};
  return text;
}

}  // namespace

void check_size(std::int64_t width,
                std::int64_t height,
                const std::string& name,
                const DecodeOptions& options) {
  const bool ok = width >= 1 && height >= 1 && width <= options.max_side && height <= options.max_side &&
                  width * height <= options.max_pixels;
  CLX_CHECK_DATA(ok, "reading ", name, ": expected an image of 1 to ", options.max_side,
                 " pixels a side and ", options.max_pixels, " in all, got ", width, "x", height);
}

int exif_orientation(std::span<const std::uint8_t> tiff) {
  if (tiff.size() < 8) return 1;
  const bool big = tiff[0] == 'M';
  const auto u16 = [&](std::size_t at) -> std::size_t {
    return big ? std::size_t{tiff[at]} << 8 | tiff[at + 1] : std::size_t{tiff[at + 1]} << 8 | tiff[at];
  };
  const std::size_t directory = big ? u16(4) << 16 | u16(6) : u16(6) << 16 | u16(4);
  if (u16(2) != 42 || directory > tiff.size() - 2) return 1;
  const std::size_t count = u16(directory);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (at + 12 > tiff.size()) return 1;
    constexpr std::size_t kOrientation = 0x0112, kShort = 3;
    if (u16(at) != kOrientation || u16(at + 2) != kShort) continue;
    const std::size_t value = u16(at + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image decode_image(std::span<const std::uint8_t> bytes,
                   const std::string& name,
                   const DecodeOptions& options,
                   std::vector<std::uint8_t> memory) {
  CLX_CHECK_DATA(is_png(bytes) || is_jpeg(bytes), "reading ", name, ": expected a PNG or JPEG image, got ",
                 bytes.empty() ? "an empty file" : "one that begins with" + first_bytes(bytes));
  Decoded decoded = is_png(bytes) ? decode_png(bytes, name, options, std::move(memory))
                                  : decode_jpeg(bytes, name, options, std::move(memory));
  const int channels = options.grey ? 1 : 3;
  if (decoded.image.channels != channels) decoded.image = with_channels(decoded.image, channels);
  if (options.upright && decoded.orientation != 1) return turned(decoded.image, decoded.orientation);
  return std::move(decoded.image);
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode_image(read_file(path, kMaxImageBytes), path.string(), options);
}

void write_png(const std::filesystem::path& path, const Image& image) {
  const std::vector<std::uint8_t> bytes = encode_png(image);
  write_file(path, bytes.data(), bytes.size());
}

}  // namespace clx::io
