// Packed data sets: the same images as the files, and every damage found.
#include "nn/data/pack.h"

#include <cstring>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/data/batch_loader.h"
#include "nn/data/folder.h"
#include "nn/data/pack_format.h"
#include "runtime/check.h"
#include "runtime/io/checksum.h"
#include "runtime/io/file.h"
#include "tests/nn/image_folder.h"
#include "tests/nn/test_data.h"

namespace clx::data {
namespace {

using testing::HasSubstr;
using namespace clx::tests;
using Bytes = std::vector<std::uint8_t>;

class Packing : public testing::Test {
 protected:
  Packing() { write_photos(folder / "photos", 5); }

  Dataset photos(Split split) const {
    return load_folder(folder / "photos", split, {.square = {.side = 16}, .test_fraction = 0.4});
  }
  Packed pack(const PackOptions& options = {}) const {
    return write_pack(file, photos(Split::train), photos(Split::test), options);
  }
  Bytes bytes() const { return io::read_file(file); }
  void replace(const Bytes& bytes) const {
    write_text(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  std::string refusal() const {
    return text_of_error<DataError>([&] { load_pack(file, Split::train); });
  }
  // Changes the tail or the directory and makes the checksums right again.
  void forge(const std::function<void(PackTail&, Bytes&)>& change) const {
    Bytes b = bytes();
    PackTail tail;
    std::memcpy(&tail, b.data() + b.size() - sizeof tail, sizeof tail);
    change(tail, b);
    if (tail.index < b.size() - sizeof tail)
      tail.directory_crc = io::crc32(std::span(b).subspan(tail.index, b.size() - sizeof tail - tail.index));
    tail.tail_crc = io::crc32({reinterpret_cast<const std::uint8_t*>(&tail), offsetof(PackTail, tail_crc)});
    std::memcpy(b.data() + b.size() - sizeof tail, &tail, sizeof tail);
    replace(b);
  }
  void forge_entry(const std::function<void(PackEntry&)>& change) const {
    forge([&](PackTail& tail, Bytes& b) {
      PackEntry entry;
      std::memcpy(&entry, b.data() + tail.index, sizeof entry);
      change(entry);
      std::memcpy(b.data() + tail.index, &entry, sizeof entry);
    });
  }

  TestFolder folder;
  std::filesystem::path file = folder / "photos.clxpack";
};

void expect_same(const Dataset& a, const Dataset& b) {
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.images.to_host<std::uint8_t>(), b.images.to_host<std::uint8_t>());
  EXPECT_EQ(a.masks.to_host<std::uint8_t>(), b.masks.to_host<std::uint8_t>());
}

TEST_F(Packing, holds_the_same_images_labels_and_masks) {
  const Packed packed = pack();
  EXPECT_EQ(packed.images, 15);
  EXPECT_EQ(packed.bytes, bytes().size());
  for (const Split split : {Split::train, Split::test}) {
    Dataset from_files = photos(split), from_pack = load_pack(file, split, {.side = 16});
    EXPECT_EQ(from_pack.name, "photos");
    EXPECT_EQ(from_pack.class_names, from_files.class_names);
    EXPECT_EQ(from_pack.mean, from_files.mean);
    EXPECT_THAT(from_pack.source->name(0), HasSubstr(from_files.source->name(0)));
    make_resident(&from_files, 1, OnBadImage::fail);
    make_resident(&from_pack, 1, OnBadImage::fail);
    expect_same(from_pack, from_files);
  }
  verify_pack(file);
}

TEST_F(Packing, of_the_size_that_is_resized_to_gives_the_same_test_images) {
  pack({.size = 18});
  Dataset from_files = photos(Split::test), from_pack = load_pack(file, Split::test, {.side = 16});
  make_resident(&from_files, 1, OnBadImage::fail);
  make_resident(&from_pack, 1, OnBadImage::fail);
  EXPECT_EQ(from_pack.images.to_host<std::uint8_t>(), from_files.images.to_host<std::uint8_t>());
}

TEST_F(Packing, squares_are_resident) {
  pack({.size = 16, .square = true});
  const Dataset set = load_pack(file, Split::train);
  EXPECT_EQ(set.source, nullptr);
  EXPECT_EQ(set.images.shape(), (Shape{9, 16, 16, 3}));
  EXPECT_EQ(set.masks.shape(), (Shape{9, 16, 16}));
  EXPECT_NE(load_pack(file, Split::train, {.side = 17}).source, nullptr) << "of another size";
}

TEST_F(Packing, trains_like_the_files) {
  pack();
  const BatchOptions options{
      .batch_size = 4, .views = 2, .augment = {.resized_crop = ResizedCrop{}}, .seed = 1};
  BatchLoader files(photos(Split::train), options),
      packed(load_pack(file, Split::train, {.side = 16}), options);
  for (int b = 0; b < 2; ++b)
    EXPECT_EQ(packed.next().images.to_host(), files.next().images.to_host());
}

TEST_F(Packing, gives_the_same_file_for_any_number_of_workers) {
  pack({.workers = 1});
  const Bytes one = bytes();
  pack({.workers = 3});
  EXPECT_EQ(bytes(), one);
}

TEST_F(Packing, names_bad_images_and_leaves_the_old_file) {
  pack();
  const Bytes old = bytes();
  const std::string bad = photos(Split::train).source->name(3);
  write_text(bad, "no image");
  EXPECT_THAT(text_of_error<DataError>([&] { pack(); }), HasSubstr(bad));
  EXPECT_EQ(bytes(), old);
  const Packed packed = pack({.on_bad = OnBadImage::skip});
  EXPECT_EQ(packed.images, 14);
  EXPECT_THAT(packed.bad_images, testing::ElementsAre(HasSubstr(bad)));
  EXPECT_EQ(load_pack(file, Split::train, {.side = 16}).size(), 8);
}

TEST_F(Packing, refuses_what_is_no_pack_and_what_ends_early) {
  EXPECT_THAT(refusal(), HasSubstr("No such file"));
  write_text(file, "");
  EXPECT_THAT(refusal(), HasSubstr("a file of another kind"));
  write_text(file, std::string(500, 'x'));
  EXPECT_THAT(refusal(), HasSubstr("a packed data set (clx-data pack makes them)"));
  pack();
  const Bytes whole = bytes();
  for (const std::size_t n :
       {std::size_t{9}, std::size_t{64}, std::size_t{127}, std::size_t{5000}, whole.size() - 1}) {
    replace(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
    EXPECT_THROW(load_pack(file, Split::train), DataError) << n;
  }
  Bytes longer = whole;
  longer.push_back(0);
  replace(longer);
  EXPECT_THAT(refusal(), HasSubstr("a truncated or damaged one"));
  Bytes later = whole;
  later[8] = 2;
  replace(later);
  EXPECT_THAT(refusal(), HasSubstr("expected version 1, got version 2"));
}

TEST_F(Packing, finds_every_changed_byte) {
  pack({.size = 16, .square = true});
  const Bytes whole = bytes();
  for (std::size_t at = 0; at < whole.size();
       at += at < 12 || at + sizeof(PackTail) > whole.size() ? 1 : 211) {
    if (at >= 12 && at < kPackHeadBytes) continue;  // zeros that nobody reads
    Bytes changed = whole;
    changed[at] ^= 4;
    replace(changed);
    EXPECT_THROW(verify_pack(file, 1), DataError) << "byte " << at << " of " << whole.size();
  }
}

TEST_F(Packing, refuses_directories_that_lie) {
  pack();
  const Bytes whole = bytes();
  const auto refused = [&](const std::function<void(PackEntry&)>& change) {
    replace(whole);
    forge_entry(change);
    return refusal();
  };
  EXPECT_THAT(refused([](PackEntry& e) { e.offset = std::uint64_t{1} << 40; }),
              HasSubstr("image 0 outside of it"));
  EXPECT_THAT(refused([](PackEntry& e) { e.offset = ~std::uint64_t{0} - 10; }), HasSubstr("outside"));
  EXPECT_THAT(refused([](PackEntry& e) { e.height = e.width = 0xffffffff; }), HasSubstr("outside"));
  EXPECT_THAT(refused([](PackEntry& e) { e.height = 0; }), HasSubstr("outside"));
  EXPECT_THAT(refused([](PackEntry& e) { e.label = 3; }),
              HasSubstr("expected labels of 3 classes, got 3 of image 0"));
  EXPECT_THAT(refused([](PackEntry& e) { e.label = -1; }), HasSubstr("got -1"));
  EXPECT_THAT(refused([](PackEntry& e) { e.flags = 0; }), HasSubstr("a mask for every image or for none"));
  const auto refused_tail = [&](const std::function<void(PackTail&, Bytes&)>& change) {
    replace(whole);
    forge(change);
    return refusal();
  };
  EXPECT_THAT(refused_tail([](PackTail& t, Bytes&) { t.index = ~std::uint64_t{0}; }),
              HasSubstr("a directory"));
  EXPECT_THAT(refused_tail([](PackTail& t, Bytes&) { t.count = std::uint64_t{1} << 60; }),
              HasSubstr("a directory"));
  EXPECT_THAT(refused_tail([](PackTail& t, Bytes&) { t.count -= 1; }), HasSubstr("a directory"));
  EXPECT_THAT(refused_tail([](PackTail& t, Bytes&) { t.name_bytes += 1; }), HasSubstr("a directory"));
  EXPECT_THAT(refused_tail([](PackTail& t, Bytes& b) { b[t.names] = 'x'; }), HasSubstr("names of classes"));
}

}  // namespace
}  // namespace clx::data
