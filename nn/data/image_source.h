// Images that are read when they are needed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/data/dataset.h"
#include "runtime/io/resample.h"

namespace clx::data {

/// What to do with an image that cannot be read: end with its name, or go on without it.
enum class OnBadImage { fail, skip };

/// RGB images of any size, perhaps with object masks, read one at a time by any number of threads.
class ImageSource {
 public:
  /// What a thread keeps between two reads, so that it does not ask for memory again.
  struct Memory {
    std::vector<std::uint8_t> file;
    io::Image image;
  };

  virtual ~ImageSource() = default;
  virtual std::int64_t size() const = 0;
  virtual bool has_masks() const = 0;
  /// Where image i comes from, for messages.
  virtual std::string name(std::int64_t i) const = 0;
  /// Image i (H,W,3). Valid until the next use of `memory`. Throws DataError naming the image.
  virtual io::ImageView read(std::int64_t i, Memory& memory) const = 0;
  /// The mask of image i (H,W,1 or 3): an object is where a channel is not zero. As read.
  virtual io::ImageView read_mask(std::int64_t i, Memory& memory) const = 0;
};

struct ImageSize {
  int height = 0, width = 0;
};

/// Some images of another source.
std::shared_ptr<const ImageSource> chosen_images(std::shared_ptr<const ImageSource> source,
                                                 std::vector<std::int64_t> rows);

/// Writes image i as a square (side,side,3) to `to` and returns its own size. Throws DataError naming it.
ImageSize read_square(const ImageSource& source,
                      std::int64_t i,
                      const Square& square,
                      ImageSource::Memory& memory,
                      std::uint8_t* to);

/// Writes the mask of image i, whose own size is `size`, as (side,side) zeros and ones: the part that
/// read_square takes, with what `set.mask_rule` says of pixels. Throws DataError naming the mask if it cannot
/// be read or is of another size.
void read_square_mask(
    const Dataset& set, std::int64_t i, ImageSize size, ImageSource::Memory& memory, std::uint8_t* to);

/// The mask of image i as stored. Throws DataError if it cannot be read or is of another size.
io::ImageView read_mask_of_size(const ImageSource& source,
                                std::int64_t i,
                                ImageSize size,
                                ImageSource::Memory& memory);

/// Images `begin` … `end` − 1 of a set that has a source, as squares (N,side,side,3) u8 on the cpu.
Tensor read_squares(const Dataset& set, std::int64_t begin, std::int64_t end, int workers);

/// Reads all images and masks of a set that has a source, as squares; the set then has `images` and no
/// source.
///
/// Throws  DataError naming the first image that cannot be read, or if none can
/// Notes   With OnBadImage::skip those are left out, and `set->bad_images` says which and why.
void make_resident(Dataset* set, int workers, OnBadImage on_bad);

}  // namespace clx::data
