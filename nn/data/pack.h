// Packed data sets: decoded images of both splits with labels and masks in one file that is mapped, not read.
// The format is described in docs/data.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nn/data/image_source.h"

namespace clx::data {

struct PackOptions {
  int size = 0;         // the shorter side of the packed images; 0: as decoded
  bool square = false;  // cut out the middle size×size
  int workers = 0;      // threads that decode; 0: as many as the framework computes with
  OnBadImage on_bad = OnBadImage::fail;
};

struct Packed {
  std::int64_t images = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> bad_images;  // left out: why
};

/// Writes both splits of a data set with a source to `file`, complete or not at all. `progress` is told how
/// many images are done.
///
/// Throws  DataError naming an image that cannot be read, unless the options skip those, or a mask of another
///         size than its image; Error if the file cannot be written or the sets do not fit each other
/// Notes   Resized with Pillow's bytes: a pack of the shorter side that an evaluation resizes to gives that
///         evaluation the same pixels as the files. The same input gives the same file.
Packed write_pack(const std::filesystem::path& file,
                  const Dataset& train,
                  const Dataset& test,
                  const PackOptions& options,
                  const std::function<void(std::int64_t)>& progress = {});

struct PackedOptions {
  std::optional<int> side{};  // of the images that a model sees; default: the pack's, if all are squares of
                              // one size, else 224
  int shorter = 0;            // Square::shorter
};

/// One split of a packed file. Its images are resident if they are squares of the wanted size and take no
/// more than a GiB; otherwise they are read from the mapping.
///
/// Throws  DataError if the file is missing, is not a pack, is of a later version, is truncated, or its
/// directory
///         does not have the checksum it states or points outside of the file
Dataset load_pack(const std::filesystem::path& file, Split split, const PackedOptions& options = {});

/// Compares the checksums of all images. Throws DataError naming the first one that is damaged.
void verify_pack(const std::filesystem::path& file, int workers = 0);

}  // namespace clx::data
