// Batches of images that loader threads read: the same for any number of threads, and what happens to bad
// files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/data/batch_loader.h"
#include "nn/data/folder.h"
#include "runtime/check.h"
#include "tests/nn/image_folder.h"
#include "tests/nn/test_data.h"

namespace clx::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace clx::tests;

class Streaming : public testing::Test {
 protected:
  Streaming() { write_photos(folder.path(), 5, false); }

  Dataset photos() const {
    return load_folder(folder.path(), Split::train, {.square = {.side = 16}, .test_fraction = 0.01});
  }
  void spoil(const std::string& name) const { write_text(folder / ("images/" + name), "no image"); }

  static BatchOptions contrastive(std::int64_t batch_size, int workers) {
    return {
        .batch_size = batch_size,
        .views = 2,
        .order = {.drop_last = false},
        .augment = {.resized_crop = ResizedCrop{.scale_low = 0.2},
                    .flip = true,
                    .jitter =
                        ColorJitter{.brightness = 0.4f, .contrast = 0.4f, .saturation = 0.4f, .hue = 0.1f},
                    .grayscale = 0.2f},
        .seed = 7,
        .workers = workers};
  }

  // Images under (sample, view), of one epoch.
  static std::map<std::pair<std::int64_t, int>, std::vector<float>> epoch(BatchLoader& loader,
                                                                          int number,
                                                                          std::int64_t* replaced = nullptr) {
    std::map<std::pair<std::int64_t, int>, std::vector<float>> all;
    loader.start_epoch(number);
    for (std::int64_t b = 0; b < loader.batches(); ++b) {
      const Batch batch = loader.next();
      const auto N = static_cast<std::int64_t>(batch.samples.size());
      if (replaced != nullptr) *replaced += batch.replaced;
      for (std::int64_t i = 0; i < 2 * N; ++i)
        all[{batch.samples[static_cast<std::size_t>(i % N)], static_cast<int>(i / N)}] =
            batch.images.slice(i, i + 1).to_host();
    }
    return all;
  }

  TestFolder folder;
};

TEST_F(Streaming, the_same_images_come_for_any_number_of_threads_and_any_batch_size) {
  BatchLoader one(photos(), contrastive(4, 1)), three(photos(), contrastive(15, 3));
  for (const int number : {0, 2}) {
    const auto images = epoch(one, number);
    EXPECT_EQ(images.size(), 30u);
    EXPECT_EQ(epoch(three, number), images);
  }
  EXPECT_NE(epoch(one, 1), epoch(one, 2));
}

TEST_F(Streaming, an_epoch_can_be_entered_left_and_begun_again_anywhere) {
  BatchLoader loader(photos(), contrastive(4, 2));
  loader.start_epoch(3);
  const std::vector<float> second = loader.batch(1).images.to_host();
  loader.start_epoch(4);
  loader.next();
  loader.start_epoch(3);
  EXPECT_EQ(loader.batch(1).images.to_host(), second);
  EXPECT_EQ(loader.batch(1).images.to_host(), second) << "again";
  EXPECT_EQ(loader.batch(3).images.dim(0), 6) << "the last, partial batch";
  EXPECT_THROW(loader.batch(4), Error);
  EXPECT_EQ(loader.batch(1).images.to_host(), second);
}

TEST_F(Streaming, without_augmentation_images_are_those_of_the_resident_set) {
  Dataset resident = photos();
  make_resident(&resident, 1, OnBadImage::fail);
  const BatchOptions plain{
      .batch_size = 15, .views = 2, .order = {.shuffle = false}, .augment = {}, .workers = 2};
  const std::vector<float> expected = BatchLoader(resident, plain).next().images.to_host();
  EXPECT_EQ(BatchLoader(photos(), plain).next().images.to_host(), expected);
}

TEST_F(Streaming, resized_crops_are_those_that_are_drawn_for_the_image) {
  const Dataset set = photos();
  BatchOptions options{.batch_size = 15,
                       .views = 2,
                       .order = {.shuffle = false},
                       .augment = {.mean = {0, 0, 0}, .std = {1, 1, 1}, .resized_crop = ResizedCrop{}},
                       .seed = 9};
  BatchLoader loader(set, options);
  loader.start_epoch(2);
  const std::vector<float> images = loader.next().images.to_host();
  ImageSource::Memory memory;
  std::vector<std::uint8_t> expected(16 * 16 * 3);
  for (std::int64_t n = 0; n < 30; ++n) {
    const std::int64_t i = n % 15;
    const int view = n < 15 ? 0 : 1;
    const io::ImageView image = set.source->read(i, memory);
    const Box box = draw_augmentation(options.augment, image.height, image.width, 9, 2, i, view).box;
    io::resized_crop(image, {box.top, box.left, box.height, box.width}, 16, 16, expected.data());
    for (std::size_t p = 0; p < expected.size(); ++p)
      ASSERT_EQ(images[static_cast<std::size_t>(n) * expected.size() + p],
                static_cast<float>(expected[p]) / 255.0f);
  }
}

TEST_F(Streaming, a_bad_image_ends_the_epoch_with_its_name) {
  spoil("dog/2.png");
  for (const int workers : {1, 3}) {
    BatchLoader loader(photos(), contrastive(4, workers));
    const std::string text = text_of_error<DataError>([&] { epoch(loader, 0); });
    EXPECT_THAT(text, HasSubstr("images/dog/2.png: expected a PNG or JPEG image"));
  }
}

TEST_F(Streaming, of_several_bad_images_the_first_of_the_batch_is_named) {
  for (const char* name : {"cat/1.png", "dog/0.png", "dog/2.png", "emu/4.png"})
    spoil(name);
  BatchOptions options = contrastive(15, 3);
  options.order.shuffle = false;
  for (int i = 0; i < 5; ++i) {
    BatchLoader loader(photos(), options);
    EXPECT_THAT(text_of_error<DataError>([&] { loader.next(); }), HasSubstr("cat/1.png"));
  }
}

TEST_F(Streaming, a_skipped_image_is_replaced_by_the_next_of_its_class_and_counted) {
  spoil("dog/2.png");
  spoil("dog/3.png");
  spoil("emu/4.png");
  BatchOptions options = contrastive(4, 1);
  options.on_bad = OnBadImage::skip;
  options.augment = {};
  BatchLoader one(photos(), options);
  options.workers = 3;
  BatchLoader three(photos(), options);
  std::int64_t replaced_one = 0, replaced_three = 0;
  const auto images = epoch(one, 1, &replaced_one);
  EXPECT_EQ(epoch(three, 1, &replaced_three), images);
  EXPECT_EQ(replaced_one, 3);
  EXPECT_EQ(replaced_three, 3);
  EXPECT_EQ(images.at({7, 0}), images.at({9, 0})) << "dog/2 is dog/4";
  EXPECT_EQ(images.at({8, 1}), images.at({9, 1})) << "dog/3 is dog/4";
  EXPECT_EQ(images.at({14, 0}), images.at({10, 0})) << "emu/4 is emu/0";
  EXPECT_EQ(three.bad_images(), one.bad_images());
  EXPECT_THAT(one.bad_images(), testing::UnorderedElementsAre(HasSubstr("dog/2.png"), HasSubstr("dog/3.png"),
                                                              HasSubstr("emu/4.png")));
  epoch(one, 2);
  EXPECT_EQ(one.bad_images().size(), 3u) << "each once";
}

TEST_F(Streaming, a_class_that_cannot_be_read_at_all_ends_the_epoch) {
  for (const char* name : {"cat/0.png", "cat/1.png", "cat/2.png", "cat/3.png", "cat/4.png"})
    spoil(name);
  BatchOptions options = contrastive(15, 2);
  options.on_bad = OnBadImage::skip;
  BatchLoader loader(photos(), options);
  EXPECT_THAT(text_of_error<DataError>([&] { loader.next(); }), HasSubstr("an image of class cat"));
}

}  // namespace
}  // namespace clx::data
