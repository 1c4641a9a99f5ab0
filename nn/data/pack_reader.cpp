#include <algorithm>
#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>

#include "nn/data/pack.h"
#include "nn/data/pack_format.h"
#include "nn/data/workers.h"
#include "runtime/check.h"
#include "runtime/io/checksum.h"
#include "runtime/io/mapped_file.h"

namespace clx::data {
namespace {

constexpr std::uint64_t kMaxSide = 1 << 16;
constexpr std::int64_t kMaxResidentBytes = std::int64_t{1} << 30;

// The mapping and its directory, which is copied once it was found to be right.
struct Pack {
  explicit Pack(const std::filesystem::path& path) : path(path.string()), file(path) {
    const std::span<const std::uint8_t> bytes = file.bytes();
    expect(bytes.size() >= kPackHeadBytes &&
               std::memcmp(bytes.data(), kPackMagic.data(), kPackMagic.size()) == 0,
           "a packed data set (clx-data pack makes them)", "a file of another kind");
    std::uint32_t version = 0;
    std::memcpy(&version, bytes.data() + kPackMagic.size(), sizeof version);
    expect(version == kPackVersion, concat("version ", kPackVersion), concat("version ", version));
    expect(bytes.size() >= kPackHeadBytes + sizeof(PackTail), "a whole file", "a truncated one");
    PackTail tail;
    std::memcpy(&tail, bytes.data() + bytes.size() - sizeof tail, sizeof tail);
    expect(std::string_view(tail.magic, sizeof tail.magic) == kPackEnd &&
               tail.tail_crc == io::crc32(bytes.last(sizeof tail).first(offsetof(PackTail, tail_crc))) &&
               tail.file_bytes == bytes.size(),
           "a whole file", "a truncated or damaged one");
    read_directory(bytes.first(bytes.size() - sizeof tail), tail);
  }

  void expect(bool ok, const std::string& expected, const std::string& got) const {
    CLX_CHECK_DATA(ok, "reading ", path, ": expected ", expected, ", got ", got);
  }

  std::span<const std::uint8_t> bytes_of(const PackEntry& entry) const {
    return file.bytes().subspan(entry.offset, entry.bytes());
  }

  std::string path;
  io::MappedFile file;
  std::vector<PackEntry> index;
  std::string name;
  std::vector<std::string> class_names, files;
  std::vector<float> mean, std;

 private:
  // `bytes` is everything before the tail.
  void read_directory(std::span<const std::uint8_t> bytes, const PackTail& tail) {
    const bool inside = tail.index >= kPackHeadBytes && tail.index <= bytes.size() && tail.count >= 1 &&
                        tail.count <= (bytes.size() - tail.index) / sizeof(PackEntry) &&
                        tail.names == tail.index + tail.count * sizeof(PackEntry) &&
                        tail.name_bytes == bytes.size() - tail.names;
    expect(inside, "a directory within the file", "one outside of it");
    expect(io::crc32(bytes.subspan(tail.index)) == tail.directory_crc, "an intact directory",
           "one with a wrong checksum");
    index.resize(tail.count);
    std::memcpy(index.data(), bytes.data() + tail.index, tail.count * sizeof(PackEntry));
    read_names(bytes.subspan(tail.names));
    for (std::size_t i = 0; i < index.size(); ++i)
      check(index[i], i, tail.index);
  }

  void read_names(std::span<const std::uint8_t> text) {
    const auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
    try {
      json.at("name").get_to(name);
      json.at("class_names").get_to(class_names);
      json.at("files").get_to(files);
      json.at("mean").get_to(mean);
      json.at("std").get_to(std);
    } catch (const nlohmann::json::exception&) {
      expect(false, "names of classes and files", "none that can be read");
    }
    expect(files.size() == index.size(), concat(index.size(), " file names"), concat(files.size()));
    expect(mean.size() == 3 && std.size() == 3 && std::ranges::all_of(std, [](float s) { return s > 0; }),
           "mean and standard deviation of three channels", "others");
  }

  void check(const PackEntry& entry, std::size_t i, std::uint64_t end) const {
    const bool sized =
        entry.height >= 1 && entry.width >= 1 && entry.height <= kMaxSide && entry.width <= kMaxSide;
    expect(
        sized && entry.offset >= kPackHeadBytes && entry.offset <= end && entry.bytes() <= end - entry.offset,
        "images within the file", concat("image ", i, " outside of it"));
    expect(entry.label >= 0 && static_cast<std::size_t>(entry.label) < class_names.size(),
           concat("labels of ", class_names.size(), " classes"), concat(entry.label, " of image ", i));
  }
};

class PackedImages : public ImageSource {
 public:
  PackedImages(std::shared_ptr<const Pack> pack, std::vector<std::size_t> rows, bool masked)
      : pack_(std::move(pack)), rows_(std::move(rows)), masked_(masked) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(rows_.size()); }
  bool has_masks() const override { return masked_; }
  std::string name(std::int64_t i) const override {
    return concat(pack_->files[rows_[static_cast<std::size_t>(i)]], " in ", pack_->path);
  }
  io::ImageView read(std::int64_t i, Memory&) const override {
    const PackEntry& entry = at(i);
    return {static_cast<int>(entry.width), static_cast<int>(entry.height), 3, pack_->bytes_of(entry).data()};
  }
  io::ImageView read_mask(std::int64_t i, Memory&) const override {
    const PackEntry& entry = at(i);
    return {static_cast<int>(entry.width), static_cast<int>(entry.height), 1,
            pack_->bytes_of(entry).data() + entry.pixel_bytes()};
  }

 private:
  const PackEntry& at(std::int64_t i) const { return pack_->index[rows_[static_cast<std::size_t>(i)]]; }

  std::shared_ptr<const Pack> pack_;
  std::vector<std::size_t> rows_;
  bool masked_;
};

// The side of a pack of equal squares, 0 of any other.
int side_of(const Pack& pack) {
  const std::uint32_t side = pack.index.front().height;
  const bool equal = std::ranges::all_of(
      pack.index, [&](const PackEntry& entry) { return entry.height == side && entry.width == side; });
  return equal ? static_cast<int>(side) : 0;
}

}  // namespace

Dataset load_pack(const std::filesystem::path& file, Split split, const PackedOptions& options) {
  const auto pack = std::make_shared<const Pack>(file);
  Dataset set;
  set.name = pack->name;
  set.class_names = pack->class_names;
  set.mean = pack->mean;
  set.std = pack->std;
  std::vector<std::size_t> rows;
  std::size_t masks = 0;
  for (std::size_t i = 0; i < pack->index.size(); ++i) {
    const PackEntry& entry = pack->index[i];
    if (((entry.flags & PackEntry::kTest) != 0) != (split == Split::test)) continue;
    rows.push_back(i);
    set.labels.push_back(entry.label);
    masks += (entry.flags & PackEntry::kMask) != 0;
  }
  pack->expect(!rows.empty(), "images of both splits",
               split == Split::test ? "none for testing" : "none to train");
  pack->expect(masks == 0 || masks == rows.size(), "a mask for every image or for none",
               concat(masks, " for ", rows.size(), " images"));
  const int side = side_of(*pack);
  set.square = {.side = options.side.value_or(side > 0 ? side : 224), .shorter = options.shorter};
  set.source = std::make_shared<PackedImages>(pack, std::move(rows), masks > 0);
  const bool as_is = side == set.square.side && options.shorter == 0;
  if (as_is && set.size() * side * side * 3 <= kMaxResidentBytes) make_resident(&set, 0, OnBadImage::fail);
  return set;
}

void verify_pack(const std::filesystem::path& file, int workers) {
  const Pack pack(file);
  for_each_image(static_cast<std::int64_t>(pack.index.size()), workers,
                 [&](std::int64_t i, ImageSource::Memory&) {
                   const auto at = static_cast<std::size_t>(i);
                   pack.expect(io::crc32(pack.bytes_of(pack.index[at])) == pack.index[at].crc,
                               "intact images", concat("a wrong checksum of ", pack.files[at]));
                 });
}

}  // namespace clx::data
