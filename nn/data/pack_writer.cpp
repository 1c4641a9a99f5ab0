#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>

#include "nn/data/pack.h"
#include "nn/data/pack_format.h"
#include "nn/data/workers.h"
#include "runtime/check.h"
#include "runtime/io/checksum.h"
#include "runtime/io/file.h"

namespace clx::data {
namespace {

static_assert(std::endian::native == std::endian::little, "packs are written as they lie in memory");

// Images that are decoded at once and then written in order.
constexpr std::int64_t kChunk = 64;

struct Ready {
  PackEntry entry;
  std::vector<std::uint8_t> bytes;
  std::string bad;  // why it could not be read
};

void resize_into(const io::ImageView& image, const PackOptions& options, Ready* ready) {
  const io::Rectangle size = options.size == 0 ? io::Rectangle{0, 0, image.height, image.width}
                                               : io::resized_shorter(image.height, image.width, options.size);
  ready->entry.height = static_cast<std::uint32_t>(options.square ? options.size : size.height);
  ready->entry.width = static_cast<std::uint32_t>(options.square ? options.size : size.width);
  ready->bytes.resize(ready->entry.bytes());
  if (options.square)
    io::resized_center(image, options.size, options.size, ready->bytes.data());
  else
    io::resized_crop(image, {0, 0, image.height, image.width}, size.height, size.width, ready->bytes.data());
}

void resize_mask_into(const io::ImageView& mask, const PackOptions& options, Ready* ready) {
  ready->entry.flags |= PackEntry::kMask;
  ready->bytes.resize(ready->entry.bytes());
  std::uint8_t* to = ready->bytes.data() + ready->entry.pixel_bytes();
  if (options.square)
    io::resized_mask(mask, options.size, options.size, to);
  else
    io::resized_whole_mask(mask, static_cast<int>(ready->entry.height), static_cast<int>(ready->entry.width),
                           to);
}

class Writer {
 public:
  Writer(const std::filesystem::path& file,
         const PackOptions& options,
         const std::function<void(std::int64_t)>& progress)
      : options_(options), progress_(progress), file_(file) {
    std::vector<char> head(kPackHeadBytes);
    std::ranges::copy(kPackMagic, head.begin());
    std::memcpy(head.data() + kPackMagic.size(), &kPackVersion, sizeof kPackVersion);
    write(head.data(), head.size());
  }

  void add(const Dataset& set, std::uint32_t flags) {
    for (std::int64_t begin = 0; begin < set.size(); begin += kChunk) {
      const std::int64_t count = std::min(kChunk, set.size() - begin);
      std::vector<Ready> ready(static_cast<std::size_t>(count));
      for_each_image(count, options_.workers, [&](std::int64_t i, ImageSource::Memory& memory) {
        prepare(set, begin + i, memory, &ready[static_cast<std::size_t>(i)]);
      });
      for (std::size_t i = 0; i < ready.size(); ++i)
        append(set, begin + static_cast<std::int64_t>(i), flags, std::move(ready[i]));
      done_ += count;
      if (progress_) progress_(done_);
    }
  }

  Packed finish(const Dataset& train) {
    CLX_CHECK_DATA(!index_.empty(), "pack: expected at least one image that can be read, got ",
                   packed_.bad_images.size(), " bad ones");
    PackTail tail;
    tail.index = written_;
    tail.count = index_.size();
    write(index_.data(), index_.size() * sizeof(PackEntry));
    nlohmann::ordered_json names{{"name", train.name}, {"class_names", train.class_names}};
    names["mean"] = train.mean;
    names["std"] = train.std;
    names["files"] = files_;
    const std::string text = names.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    tail.names = written_;
    tail.name_bytes = text.size();
    write(text.data(), text.size());
    tail.file_bytes = written_ + sizeof tail;
    const auto bytes = [](const void* data, std::size_t n) {
      return std::span(static_cast<const std::uint8_t*>(data), n);
    };
    tail.directory_crc = io::crc32(bytes(text.data(), text.size()),
                                   io::crc32(bytes(index_.data(), index_.size() * sizeof(PackEntry))));
    tail.tail_crc = io::crc32(bytes(&tail, offsetof(PackTail, tail_crc)));
    std::ranges::copy(kPackEnd, tail.magic);
    write(&tail, sizeof tail);
    file_.commit();
    packed_.images = static_cast<std::int64_t>(index_.size());
    packed_.bytes = written_;
    return std::move(packed_);
  }

 private:
  void prepare(const Dataset& set, std::int64_t i, ImageSource::Memory& memory, Ready* ready) const {
    try {
      const io::ImageView image = set.source->read(i, memory);
      const ImageSize size{image.height, image.width};
      resize_into(image, options_, ready);
      if (set.source->has_masks())
        resize_mask_into(read_mask_of_size(*set.source, i, size, memory), options_, ready);
      ready->entry.crc = io::crc32(ready->bytes);
    } catch (const DataError& error) {
      if (options_.on_bad == OnBadImage::fail) throw;
      ready->bad = error.what();
    }
  }

  void append(const Dataset& set, std::int64_t i, std::uint32_t flags, Ready ready) {
    if (!ready.bad.empty()) {
      packed_.bad_images.push_back(std::move(ready.bad));
      return;
    }
    ready.entry.offset = written_;
    ready.entry.flags |= flags;
    ready.entry.label = set.labels[static_cast<std::size_t>(i)];
    write(ready.bytes.data(), ready.bytes.size());
    index_.push_back(ready.entry);
    files_.push_back(set.source->name(i));
  }

  void write(const void* data, std::size_t bytes) {
    file_.write(data, bytes);
    written_ += bytes;
  }

  const PackOptions& options_;
  const std::function<void(std::int64_t)>& progress_;
  io::AtomicFile file_;
  std::uint64_t written_ = 0;
  std::int64_t done_ = 0;
  std::vector<PackEntry> index_;
  std::vector<std::string> files_;
  Packed packed_;
};

}  // namespace

Packed write_pack(const std::filesystem::path& file,
                  const Dataset& train,
                  const Dataset& test,
                  const PackOptions& options,
                  const std::function<void(std::int64_t)>& progress) {
  CLX_CHECK(train.source && test.source, "pack: expected images in files, got resident ones");
  CLX_CHECK(train.class_names == test.class_names, "pack: expected the same classes in both splits");
  CLX_CHECK(options.size >= 0 && (options.size > 0 || !options.square),
            "pack: expected a size of at least 1 to cut squares, got ", options.size);
  Writer writer(file, options, progress);
  writer.add(train, 0);
  writer.add(test, PackEntry::kTest);
  return writer.finish(train);
}

}  // namespace clx::data
