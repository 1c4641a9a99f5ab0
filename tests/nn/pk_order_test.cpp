// PK sampling: P classes with K different images of each, the same for the same seed and epoch.
#include "nn/data/pk_order.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

#include "nn/data/batch_loader.h"
#include "nn/data/shapes.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::data {
namespace {

const std::vector<std::string> kNames{"ant", "bee", "cat", "dog"};

// 5, 6, 7 and 8 images of the four classes, mixed.
std::vector<std::int32_t> labels() {
  std::vector<std::int32_t> labels;
  for (int round = 0; round < 8; ++round)
    for (int c = 0; c < 4; ++c)
      if (round < 5 + c) labels.push_back(c);
  return labels;
}

std::vector<std::vector<std::int64_t>> epoch_of(PkOrder& order, int epoch) {
  order.start_epoch(epoch);
  std::vector<std::vector<std::int64_t>> batches;
  for (std::int64_t b = 0; b < order.batches(); ++b)
    batches.push_back(order.batch(b));
  return batches;
}

TEST(PkOrder, every_batch_has_k_different_images_of_p_classes_class_by_class) {
  const std::vector<std::int32_t> of = labels();
  PkOrder order(of, kNames, 1, {.classes = 3, .images = 2});
  ASSERT_EQ(order.batches(), 26 / 6);
  for (int epoch = 0; epoch < 20; ++epoch)
    for (const std::vector<std::int64_t>& batch : epoch_of(order, epoch)) {
      ASSERT_EQ(batch.size(), 6u);
      EXPECT_EQ(std::set<std::int64_t>(batch.begin(), batch.end()).size(), 6u);
      std::set<std::int32_t> classes;
      for (std::size_t i = 0; i < 6; ++i) {
        const std::int32_t label = of[static_cast<std::size_t>(batch[i])];
        EXPECT_EQ(label, of[static_cast<std::size_t>(batch[i / 2 * 2])]) << "class by class";
        classes.insert(label);
      }
      EXPECT_EQ(classes.size(), 3u);
    }
}

TEST(PkOrder, all_classes_and_images_have_their_turn) {
  PkOrder order(labels(), kNames, 1, {.classes = 2, .images = 5});
  std::map<std::int64_t, int> seen;
  for (int epoch = 0; epoch < 200; ++epoch)
    for (const std::vector<std::int64_t>& batch : epoch_of(order, epoch))
      for (const std::int64_t sample : batch)
        ++seen[sample];
  EXPECT_EQ(seen.size(), 26u);
  // 200 epochs of two batches of 10: 4,000 images, 1,000 of each class.
  for (const auto& [sample, times] : seen)
    EXPECT_NEAR(times, 1000.0 / (5 + labels()[static_cast<std::size_t>(sample)]), 40) << sample;
}

TEST(PkOrder, an_epoch_depends_on_seed_and_epoch_alone) {
  PkOrder a(labels(), kNames, 1, {.classes = 3, .images = 2}), b = a;
  const auto third = epoch_of(a, 3);
  EXPECT_EQ(epoch_of(b, 3), third);
  EXPECT_NE(epoch_of(b, 4), third);
  EXPECT_EQ(epoch_of(b, 3), third);
  PkOrder other(labels(), kNames, 2, {.classes = 3, .images = 2});
  EXPECT_NE(epoch_of(other, 3), third);
}

TEST(PkOrder, shares_make_up_the_batch) {
  PkOrder whole(labels(), kNames, 1, {.classes = 3, .images = 2});
  std::vector<std::int64_t> joined;
  for (int share = 0; share < 3; ++share) {
    const PkOrder part(labels(), kNames, 1, {.classes = 3, .images = 2, .shares = 3, .share = share});
    const std::vector<std::int64_t> mine = part.batch(1);
    joined.insert(joined.end(), mine.begin(), mine.end());
  }
  EXPECT_EQ(joined, whole.batch(1));
}

TEST(PkOrder, refuses_what_makes_no_batch) {
  const auto says = [](const PkOptions& options) {
    return message_of<Error>([&] { PkOrder(labels(), kNames, 1, options); });
  };
  EXPECT_EQ(says({.classes = 3, .images = 6}),
            "pk sampler: expected at least 6 images of every class, got 5 of ant");
  EXPECT_EQ(says({.classes = 5, .images = 1}),
            "pk sampler: expected at least 5 classes, as many as a batch has, got 4");
  EXPECT_EQ(says({.classes = 0, .images = 1}),
            "pk sampler: expected at least one class and one image of each, got 0 and 1");
  EXPECT_EQ(says({.classes = 3, .images = 2, .shares = 4}),
            "pk sampler: expected batches of a multiple of 4 samples, got 3·2");
  const PkOrder order(labels(), kNames, 1, {.classes = 3, .images = 2});
  EXPECT_THROW(order.batch(4), Error);
  EXPECT_THROW(order.batch(-1), Error);
}

TEST(PkOrder, a_loader_follows_it) {
  const Dataset set = make_shapes({.size = 16, .samples = 60, .seed = 5}, Split::train);
  BatchLoader loader(set, {.batch_size = 8, .classes_per_batch = 4, .seed = 3});
  const PkOrder order(set.labels, set.class_names, 3, {.classes = 4, .images = 2});
  ASSERT_EQ(loader.batches(), order.batches());
  EXPECT_EQ(loader.batch(2).samples, order.batch(2));
  EXPECT_THROW(BatchLoader(set, {.batch_size = 9, .classes_per_batch = 4}), Error);
}

}  // namespace
}  // namespace clx::data
