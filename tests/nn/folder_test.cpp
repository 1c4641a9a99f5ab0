// Data sets of image files: layouts, splits, masks, and what is wrong with them.
#include "nn/data/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "nn/data/image_source.h"
#include "runtime/check.h"
#include "tests/nn/image_folder.h"
#include "tests/nn/test_data.h"

namespace clx::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace clx::tests;

std::vector<std::string> names(const Dataset& set) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < set.size(); ++i)
    names.push_back(set.source->name(i));
  return names;
}

std::string refusal(const std::filesystem::path& folder,
                    Split split = Split::train,
                    const FolderOptions& options = {}) {
  return text_of_error<DataError>([&] { load_folder(folder, split, options); });
}

TEST(Folder, classes_are_the_sorted_folders_and_images_come_in_the_order_of_their_paths) {
  const TestFolder folder;
  for (const char* name : {"train/b/2.PNG", "train/b/10.png", "train/a/x/1.png", "train/a/0.png",
                           "train/B/3.png", "val/b/5.png", "train/.hidden/1.png", "train/a/.2.png"})
    write_image(folder / name, noise(5, 4, 1));
  write_text(folder / "train/a/notes.txt", "no image");
  write_text(folder / "train/readme.md", "no class");
  const Dataset train = load_folder(folder.path(), Split::train);
  EXPECT_THAT(train.class_names, ElementsAre("B", "a", "b"));
  EXPECT_THAT(train.labels, ElementsAre(0, 1, 1, 2, 2));
  const std::string at = folder.path().string() + "/train/";
  EXPECT_THAT(names(train),
              ElementsAre(at + "B/3.png", at + "a/0.png", at + "a/x/1.png", at + "b/10.png", at + "b/2.PNG"));
  EXPECT_FALSE(train.source->has_masks());
  const Dataset test = load_folder(folder.path(), Split::test);
  EXPECT_THAT(test.class_names, ElementsAre("B", "a", "b"));
  EXPECT_THAT(test.labels, ElementsAre(2)) << "labels are the training split's";
}

TEST(Folder, without_a_split_a_seeded_share_of_each_class_is_for_testing) {
  const TestFolder folder;
  write_photos(folder.path(), 10);
  const FolderOptions options{.test_fraction = 0.3, .seed = 4};
  const Dataset train = load_folder(folder.path(), Split::train, options);
  const Dataset test = load_folder(folder.path(), Split::test, options);
  std::vector<int> of_class(3);
  for (const std::int32_t label : test.labels)
    ++of_class[static_cast<std::size_t>(label)];
  EXPECT_THAT(of_class, ElementsAre(3, 3, 3));
  std::set<std::string> all;
  for (const Dataset* set : {&train, &test})
    for (const std::string& name : names(*set))
      EXPECT_TRUE(all.insert(name).second) << name << " is in both";
  EXPECT_EQ(all.size(), 30u);
  EXPECT_EQ(names(load_folder(folder.path(), Split::test, options)), names(test));
  EXPECT_NE(names(load_folder(folder.path(), Split::test, {.test_fraction = 0.3, .seed = 5})), names(test));
}

TEST(Folder, the_smallest_class_keeps_an_image_to_train) {
  const TestFolder folder;
  write_photos(folder.path(), 1);
  EXPECT_EQ(load_folder(folder.path(), Split::train, {.test_fraction = 0.9}).size(), 3);
  EXPECT_THAT(refusal(folder.path(), Split::test, {.test_fraction = 0.9}), HasSubstr("images for testing"));
}

TEST(Folder, becomes_squares_with_masks) {
  const TestFolder folder;
  write_image(folder / "images/a/0.png", noise(16, 16, 1));
  write_image(folder / "images/a/1.png", noise(40, 16, 2));
  write_half_mask(folder / "masks/a/0.png", 16, 16);
  write_half_mask(folder / "masks/a/1.png", 40, 16);
  Dataset set = load_folder(folder.path(), Split::train, {.square = {.side = 16}, .test_fraction = 0.01});
  ASSERT_EQ(set.size(), 2);
  make_resident(&set, 2, OnBadImage::fail);
  ASSERT_EQ(set.images.shape(), (Shape{2, 16, 16, 3}));
  const std::vector<std::uint8_t> pixels = set.images.to_host<std::uint8_t>();
  EXPECT_EQ(std::vector<std::uint8_t>(pixels.begin(), pixels.begin() + 768), noise(16, 16, 1).pixels)
      << "an image of the right size is taken as it is";
  std::vector<std::uint8_t> second(768);
  io::resized_center(noise(40, 16, 2), 18, 16, second.data());
  EXPECT_EQ(std::vector<std::uint8_t>(pixels.begin() + 768, pixels.end()), second);
  const Dataset again =
      load_folder(folder.path(), Split::train, {.square = {.side = 16}, .test_fraction = 0.01});
  EXPECT_EQ(read_squares(again, 1, 2, 1).to_host<std::uint8_t>(), second);
  const std::vector<std::uint8_t> masks = set.masks.to_host<std::uint8_t>();
  for (std::size_t i = 0; i < masks.size(); ++i)
    ASSERT_EQ(masks[i], i % 16 < 8) << i;
}

TEST(Folder, the_first_images_are_spread_over_the_classes) {
  const TestFolder folder;
  write_photos(folder.path(), 4);
  const Dataset all = load_folder(folder.path(), Split::train, {.test_fraction = 0.01});
  const Dataset some = all.first(3);
  EXPECT_THAT(some.labels, ElementsAre(0, 1, 2));
  EXPECT_THAT(names(some), ElementsAre(names(all)[0], names(all)[4], names(all)[8]));
  EXPECT_EQ(names(all.first(99)), names(all));
  EXPECT_THROW(all.first(0), Error);
}

TEST(Folder, says_what_is_missing) {
  const TestFolder folder;
  EXPECT_THAT(refusal(folder / "none"), HasSubstr("no such folder"));
  write_text(folder / "file", "");
  EXPECT_THAT(refusal(folder / "file"), HasSubstr("got a file"));
  EXPECT_THAT(refusal(folder.path()), HasSubstr("a folder for each class"));
  write_image(folder / "train/a/1.png", noise(4, 4, 1));
  EXPECT_THAT(refusal(folder.path(), Split::test), HasSubstr("test, val or validation"));
  write_image(folder / "test/b/1.png", noise(4, 4, 1));
  EXPECT_THAT(refusal(folder.path(), Split::test), HasSubstr("in the test split, got b"));
  EXPECT_THAT(refusal(folder.path(), Split::train, {.masks_dir = folder / "no-masks"}),
              HasSubstr("no-masks"));
}

TEST(Folder, refuses_a_class_without_images) {
  const TestFolder folder;
  write_photos(folder.path(), 1);
  std::filesystem::create_directories(folder / "images/fox");
  EXPECT_THAT(refusal(folder.path()), HasSubstr("images/fox, got an empty folder"));
  write_text(folder / "images/fox/a.webp", "");
  EXPECT_THAT(refusal(folder.path()), HasSubstr("images/fox, got other files, such as a.webp"));
}

TEST(Folder, refuses_masks_of_some_images_and_of_another_size) {
  const TestFolder folder;
  write_photos(folder.path(), 2);
  const FolderOptions options{.square = {.side = 16}, .test_fraction = 0.01};
  write_half_mask(folder / "masks/dog/1.png", 9, 18);
  Dataset set = load_folder(folder.path(), Split::train, options);
  EXPECT_THAT(text_of_error<DataError>([&] { make_resident(&set, 1, OnBadImage::fail); }),
              HasSubstr("the mask of " + (folder / "images/dog/1.png").string() +
                        ": expected the image's 23x18 pixels, got 9x18"));
  make_resident(&set, 1, OnBadImage::skip);
  EXPECT_EQ(set.size(), 5);
  EXPECT_THAT(set.labels, ElementsAre(0, 0, 1, 2, 2));
  EXPECT_THAT(set.bad_images, ElementsAre(HasSubstr("dog/1.png")));
  std::filesystem::remove(folder / "masks/dog/1.png");
  EXPECT_THAT(refusal(folder.path(), Split::train, options), HasSubstr("got 5 for 6 images"));
}

TEST(Folder, takes_masks_from_another_folder_and_from_beside_the_split) {
  const TestFolder folder;
  write_image(folder / "set/train/a/1.png", noise(8, 8, 1));
  write_image(folder / "set/val/a/2.png", noise(8, 8, 2));
  write_half_mask(folder / "set/val-masks/a/2.png", 8, 8);
  write_half_mask(folder / "other/train/a/1.png", 8, 8);
  EXPECT_FALSE(load_folder(folder / "set", Split::train).source->has_masks());
  EXPECT_TRUE(load_folder(folder / "set", Split::test).source->has_masks());
  EXPECT_TRUE(load_folder(folder / "set", Split::train, {.masks_dir = folder / "other"}).source->has_masks());
}

TEST(Folder, an_image_that_cannot_be_read_is_named_or_left_out) {
  const TestFolder folder;
  write_photos(folder.path(), 2, false);
  write_text(folder / "images/cat/1.png", "\x89PNG\r\n\x1a\n and nothing more");
  const FolderOptions options{.square = {.side = 16}, .test_fraction = 0.01};
  for (const int workers : {1, 3}) {
    Dataset set = load_folder(folder.path(), Split::train, options);
    EXPECT_THAT(text_of_error<DataError>([&] { make_resident(&set, workers, OnBadImage::fail); }),
                HasSubstr("images/cat/1.png"));
    make_resident(&set, workers, OnBadImage::skip);
    EXPECT_THAT(set.labels, ElementsAre(0, 1, 1, 2, 2));
    EXPECT_THAT(set.bad_images, ElementsAre(HasSubstr("images/cat/1.png")));
  }
  for (const char* file : {"cat/0", "dog/0", "dog/1", "emu/0", "emu/1"})
    write_text(folder / ("images/" + std::string(file) + ".png"), "");
  Dataset none = load_folder(folder.path(), Split::train, options);
  EXPECT_THAT(text_of_error<DataError>([&] { make_resident(&none, 1, OnBadImage::skip); }),
              HasSubstr("at least one image that can be read, got 6 bad ones"));
}

TEST(Folder, reads_photos_with_masks) {
  const std::filesystem::path msrc = test_data() / "msrc-v2";
  if (!std::filesystem::exists(msrc)) GTEST_SKIP() << "no " << msrc;
  const FolderOptions options{.square = {.side = 112}};
  const Dataset train = load_folder(msrc, Split::train, options);
  Dataset test = load_folder(msrc, Split::test, options);
  EXPECT_EQ(train.size() + test.size(), 463);
  EXPECT_EQ(train.class_names.size(), 16u);
  test = test.first(16);
  make_resident(&test, 0, OnBadImage::fail);
  EXPECT_EQ(test.masks.shape(), (Shape{16, 112, 112}));
}

}  // namespace
}  // namespace clx::data
