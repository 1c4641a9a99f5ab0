#include "nn/data/image_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "nn/data/workers.h"
#include "runtime/check.h"

namespace clx::data {
namespace {

class Chosen : public ImageSource {
 public:
  Chosen(std::shared_ptr<const ImageSource> source, std::vector<std::int64_t> rows)
      : source_(std::move(source)), rows_(std::move(rows)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(rows_.size()); }
  bool has_masks() const override { return source_->has_masks(); }
  std::string name(std::int64_t i) const override { return source_->name(row(i)); }
  io::ImageView read(std::int64_t i, Memory& memory) const override { return source_->read(row(i), memory); }
  io::ImageView read_mask(std::int64_t i, Memory& memory) const override {
    return source_->read_mask(row(i), memory);
  }

 private:
  std::int64_t row(std::int64_t i) const { return rows_[static_cast<std::size_t>(i)]; }

  std::shared_ptr<const ImageSource> source_;
  std::vector<std::int64_t> rows_;
};

int shorter_of(const Square& square) {
  return square.shorter > 0 ? square.shorter : square.side * 256 / 224;
}

bool is_square_already(const Square& square, ImageSize size) {
  return square.shorter == 0 && size.height == square.side && size.width == square.side;
}

// 1 where R + 256·G is `id`; of a mask with one channel where that is.
std::vector<std::uint8_t> pixels_of_class(const io::ImageView& mask, int id) {
  std::vector<std::uint8_t> object;
  const std::uint8_t* p = mask.pixels;
  for (int n = mask.height * mask.width; n-- > 0; p += mask.channels)
    object.push_back(p[0] + (mask.channels > 1 ? 256 * p[1] : 0) == id);
  return object;
}

}  // namespace

std::shared_ptr<const ImageSource> chosen_images(std::shared_ptr<const ImageSource> source,
                                                 std::vector<std::int64_t> rows) {
  return std::make_shared<Chosen>(std::move(source), std::move(rows));
}

ImageSize read_square(const ImageSource& source,
                      std::int64_t i,
                      const Square& square,
                      ImageSource::Memory& memory,
                      std::uint8_t* to) {
  const io::ImageView image = source.read(i, memory);
  if (is_square_already(square, {image.height, image.width}))
    std::memcpy(to, image.pixels,
                static_cast<std::size_t>(square.side) * static_cast<std::size_t>(square.side) * 3);
  else
    io::resized_center(image, shorter_of(square), square.side, to);
  return {image.height, image.width};
}

io::ImageView read_mask_of_size(const ImageSource& source,
                                std::int64_t i,
                                ImageSize size,
                                ImageSource::Memory& memory) {
  const io::ImageView mask = source.read_mask(i, memory);
  CLX_CHECK_DATA(mask.height == size.height && mask.width == size.width, "reading the mask of ",
                 source.name(i), ": expected the image's ", size.width, "x", size.height, " pixels, got ",
                 mask.width, "x", mask.height);
  return mask;
}

void read_square_mask(
    const Dataset& set, std::int64_t i, ImageSize size, ImageSource::Memory& memory, std::uint8_t* to) {
  const io::ImageView mask = read_mask_of_size(*set.source, i, size, memory);
  const int side = set.square.side,
            shorter = is_square_already(set.square, size) ? side : shorter_of(set.square);
  if (set.mask_rule == MaskRule::any) {
    io::resized_mask(mask, shorter, side, to);
  } else if (set.mask_rule == MaskRule::class_id) {
    const std::vector<std::uint8_t> object =
        pixels_of_class(mask, set.labels[static_cast<std::size_t>(i)] + 1);
    io::resized_mask({mask.width, mask.height, 1, object.data()}, shorter, side, to);
  } else {
    std::vector<std::uint8_t> blended(static_cast<std::size_t>(side * side * mask.channels));
    io::resized_center(mask, shorter, side, blended.data());
    for (auto red = blended.begin(); red != blended.end(); red += mask.channels)
      *to++ = *red > 0;
  }
}

Tensor read_squares(const Dataset& set, std::int64_t begin, std::int64_t end, int workers) {
  const std::int64_t side = set.square.side;
  Tensor images({end - begin, side, side, 3}, kCpu, DType::u8);
  auto* pixels = images.mutable_data<std::uint8_t>();
  for_each_image(end - begin, workers, [&](std::int64_t i, ImageSource::Memory& memory) {
    read_square(*set.source, begin + i, set.square, memory, pixels + i * side * side * 3);
  });
  return images;
}

void make_resident(Dataset* set, int workers, OnBadImage on_bad) {
  const std::int64_t M = set->size(), side = set->square.side;
  const bool masked = set->source->has_masks();
  Tensor images({M, side, side, 3}, kCpu, DType::u8), masks;
  if (masked) masks = Tensor({M, side, side}, kCpu, DType::u8);
  auto* pixels = images.mutable_data<std::uint8_t>();
  auto* objects = masked ? masks.mutable_data<std::uint8_t>() : nullptr;
  std::vector<std::string> bad(static_cast<std::size_t>(M));
  for_each_image(M, workers, [&](std::int64_t i, ImageSource::Memory& memory) {
    try {
      const ImageSize size = read_square(*set->source, i, set->square, memory, pixels + i * side * side * 3);
      if (masked) read_square_mask(*set, i, size, memory, objects + i * side * side);
    } catch (const DataError& error) {
      if (on_bad == OnBadImage::fail) throw;
      bad[static_cast<std::size_t>(i)] = error.what();
    }
  });
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < M; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (!bad[at].empty()) {
      set->bad_images.push_back(bad[at]);
      continue;
    }
    if (kept < i) {
      std::memcpy(pixels + kept * side * side * 3, pixels + i * side * side * 3,
                  static_cast<std::size_t>(side * side * 3));
      if (masked)
        std::memcpy(objects + kept * side * side, objects + i * side * side,
                    static_cast<std::size_t>(side * side));
      set->labels[static_cast<std::size_t>(kept)] = set->labels[at];
    }
    ++kept;
  }
  CLX_CHECK_DATA(kept > 0, set->name, ": expected at least one image that can be read, got ", M,
                 " bad ones; the first: ", set->bad_images.front());
  set->labels.resize(static_cast<std::size_t>(kept));
  set->images = images.slice(0, kept);
  if (masked) set->masks = masks.slice(0, kept);
  set->source = nullptr;
}

}  // namespace clx::data
