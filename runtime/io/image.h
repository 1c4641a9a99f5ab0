// Pictures: PNG and JPEG to 8-bit pixels, and pixels to PNG.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace clx::io {

/// Rows from the top, channels interleaved: pixel (y, x) begins at (y·width + x)·channels.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 0;  // 1 grey, 3 RGB, 4 RGB and opacity
  std::vector<std::uint8_t> pixels;
};

struct DecodeOptions {
  bool grey = false;                                 // one channel, for masks; otherwise RGB
  bool upright = false;                              // turn as EXIF says the camera was held
  int max_side = 16384;                              // the most pixels in width or height
  std::int64_t max_pixels = std::int64_t{64} << 20;  // and in all
};

/// Decodes a PNG or JPEG file, told apart by its first bytes, to RGB or grey.
///
/// Shapes  → height × width × 3, or × 1 with `.grey`
/// Throws  DataError `reading <path>: …` if the file is missing, neither PNG nor JPEG, truncated or
///         damaged, or larger than the options allow (seen in the header, before anything is allocated)
/// Notes   The pixels are those of Pillow's Image.convert("RGB") or convert("L"): opacity is dropped, not
///         blended; palettes are looked up; 16-bit samples keep their high byte, but 16-bit grey without
///         opacity is clipped at 255; CMYK is read as Adobe writes it (inverted) and multiplied out; embedded
///         profiles and gamma are ignored; grey is (19595 R + 38470 G + 7471 B + 2¹⁵) / 2¹⁶. EXIF orientation
///         is ignored like there, unless
///         `.upright`. Damage that leaves a JPEG decodable to its end is not an error; an early end is.
///         Of an animation, the first picture.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

/// The same from memory. `name` stands for the path in messages. The pixels go to `memory` (those of an
/// earlier image, say) if it is large enough.
Image decode_image(std::span<const std::uint8_t> bytes,
                   const std::string& name,
                   const DecodeOptions& options = {},
                   std::vector<std::uint8_t> memory = {});

/// Writes 1, 3 or 4 channels as an 8-bit PNG: grey, RGB or RGB with opacity.
///
/// Throws  Error if it cannot be written, or if the size, channels and pixels disagree
/// Notes   The same pixels give the same bytes. The file is complete or absent (AtomicFile).
void write_png(const std::filesystem::path& path, const Image& image);

/// The bytes that write_png writes.
std::vector<std::uint8_t> encode_png(const Image& image);

}  // namespace clx::io
