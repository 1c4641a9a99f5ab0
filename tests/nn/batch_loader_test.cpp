// Batches of views: what an image depends on, and in which order images and labels come.
#include "nn/data/batch_loader.h"

#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "nn/data/shapes.h"
#include "runtime/check.h"

namespace clx::data {
namespace {

Dataset shapes(std::int64_t samples = 23) {
  return make_shapes({.size = 16, .samples = samples, .seed = 5}, Split::train);
}

// The pixels of image i of a batch.
std::vector<float> pixels(const Batch& batch, std::int64_t i) {
  return batch.images.slice(i, i + 1).to_host();
}

using ByView = std::map<std::pair<std::int64_t, int>, std::vector<float>>;

// Every image of an epoch under its sample and view.
ByView epoch_of(BatchLoader& loader, int epoch, int views) {
  ByView all;
  loader.start_epoch(epoch);
  for (std::int64_t b = 0; b < loader.batches(); ++b) {
    const Batch batch = loader.next();
    const auto N = static_cast<std::int64_t>(batch.samples.size());
    for (int view = 0; view < views; ++view)
      for (std::int64_t i = 0; i < N; ++i)
        all[{batch.samples[static_cast<std::size_t>(i)], view}] = pixels(batch, view * N + i);
  }
  return all;
}

BatchOptions options(std::int64_t batch_size, int views = 2) {
  return {.batch_size = batch_size,
          .views = views,
          .order = {.drop_last = false},
          .augment = {.padding = 4, .flip = true},
          .seed = 3};
}

TEST(BatchLoader, view_1_comes_before_view_2_with_the_same_labels) {
  const Dataset set = shapes();
  BatchLoader loader(set, options(7));
  ASSERT_EQ(loader.batches(), 4);
  const Batch batch = loader.next();
  ASSERT_EQ(batch.images.shape(), (Shape{14, 16, 16, 3}));
  const std::vector<std::int32_t> labels = batch.labels.to_host<std::int32_t>();
  ASSERT_EQ(labels.size(), 14u);
  int different = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    const auto sample = static_cast<std::size_t>(batch.samples[i]);
    EXPECT_EQ(labels[i], set.labels[sample]);
    EXPECT_EQ(labels[7 + i], set.labels[sample]);
    different +=
        pixels(batch, static_cast<std::int64_t>(i)) != pixels(batch, static_cast<std::int64_t>(7 + i));
  }
  EXPECT_GE(different, 5) << "two views of a sample are drawn independently";
}

TEST(BatchLoader, an_image_depends_on_seed_epoch_sample_and_view_alone) {
  const Dataset set = shapes();
  BatchLoader small(set, options(4)), large(set, options(23));
  const ByView first = epoch_of(small, 0, 2);
  ASSERT_EQ(first.size(), 46u);
  EXPECT_EQ(epoch_of(large, 0, 2), first) << "of the batch size";
  epoch_of(small, 5, 2);
  EXPECT_EQ(epoch_of(small, 0, 2), first) << "of the epochs before";
  EXPECT_NE(epoch_of(small, 1, 2), first) << "of the epoch";
  BatchOptions other = options(4);
  other.seed = 4;
  BatchLoader reseeded(set, other);
  EXPECT_NE(epoch_of(reseeded, 0, 2), first) << "of the seed";
}

TEST(BatchLoader, view_1_is_the_same_with_and_without_a_view_2) {
  const Dataset set = shapes();
  BatchLoader one(set, options(5, 1)), two(set, options(5, 2));
  const ByView single = epoch_of(one, 2, 1);
  const ByView both = epoch_of(two, 2, 2);
  for (const auto& [key, image] : single)
    EXPECT_EQ(both.at(key), image);
}

TEST(BatchLoader, gives_any_batch_of_an_epoch_again) {
  const Dataset set = shapes();
  BatchLoader loader(set, options(5));
  loader.start_epoch(1);
  const std::vector<float> third = loader.batch(2).images.to_host();
  const std::vector<std::int64_t> after = loader.next().samples;
  EXPECT_EQ(after, loader.batch(3).samples);
  EXPECT_EQ(loader.batch(2).images.to_host(), third);
  EXPECT_THROW(loader.batch(5), Error);
  EXPECT_THROW(loader.batch(-1), Error);
}

TEST(BatchLoader, every_sample_comes_once_an_epoch) {
  const Dataset set = shapes();
  BatchLoader loader(set, options(5));
  std::multiset<std::int64_t> seen;
  for (std::int64_t b = 0; b < loader.batches(); ++b)
    for (const std::int64_t sample : loader.next().samples)
      seen.insert(sample);
  EXPECT_EQ(seen.size(), 23u);
  EXPECT_EQ(std::set<std::int64_t>(seen.begin(), seen.end()).size(), 23u);
}

TEST(BatchLoader, refuses_what_makes_no_batch) {
  const Dataset set = shapes();
  EXPECT_THROW(BatchLoader(set, {.batch_size = 0}), Error);
  EXPECT_THROW(BatchLoader(set, {.views = 0}), Error);
  BatchLoader loader(set, {.batch_size = 24});
  EXPECT_EQ(loader.batches(), 0);
  EXPECT_THROW(loader.start_epoch(-1), Error);
}

}  // namespace
}  // namespace clx::data
