// What the decoders of single formats share: the picture as stored, before it becomes RGB or grey.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/io/image.h"

namespace clx::io {

/// A decoded file: 1 (grey), 3 (RGB) or 4 (CMYK, inverted as Adobe writes it) channels.
struct Decoded {
  Image image;
  int orientation = 1;  // EXIF's, 1 … 8
};

bool is_png(std::span<const std::uint8_t> bytes);
bool is_jpeg(std::span<const std::uint8_t> bytes);

/// Throw DataError `reading <name>: …` at damage, or if the size is beyond the options. The pixels go to
/// `memory` if it is large enough.
Decoded decode_png(std::span<const std::uint8_t> bytes,
                   const std::string& name,
                   const DecodeOptions& options,
                   std::vector<std::uint8_t> memory);
Decoded decode_jpeg(std::span<const std::uint8_t> bytes,
                    const std::string& name,
                    const DecodeOptions& options,
                    std::vector<std::uint8_t> memory);

/// Throws DataError unless 1 ≤ width, height ≤ max_side and width · height ≤ max_pixels.
void check_size(std::int64_t width,
                std::int64_t height,
                const std::string& name,
                const DecodeOptions& options);

/// The orientation tag (1 … 8) of a TIFF-format EXIF block; 1 if there is none or it is damaged.
int exif_orientation(std::span<const std::uint8_t> tiff);

}  // namespace clx::io
