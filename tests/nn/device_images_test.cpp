// Batches of images that the device keeps and of those that it does not: the same bits.
#include "nn/data/device_images.h"

#include <gtest/gtest.h>

#include "nn/data/batch_loader.h"
#include "nn/data/folder.h"
#include "nn/data/shapes.h"
#include "nn/models/resnet.h"
#include "nn/optim/optimizer.h"
#include "runtime/allocator.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/graph.h"
#include "runtime/ops/cross_entropy.h"
#include "tests/arrays.h"
#include "tests/devices.h"
#include "tests/nn/image_folder.h"
#include "tests/nn/test_data.h"

namespace clx::data {
namespace {

using Bytes = std::vector<std::vector<std::uint8_t>>;

Dataset shapes() {
  return make_shapes({.size = 16, .samples = 41, .seed = 5}, Split::train);
}

AugmentOptions crop_flip() {
  return {.padding = 4, .flip = true};
}
AugmentOptions contrastive() {
  return {.resized_crop = ResizedCrop{.scale_low = 0.2},
          .height = 13,
          .width = 18,
          .flip = true,
          .jitter = ColorJitter{.brightness = 0.4f, .contrast = 0.4f, .saturation = 0.4f, .hue = 0.1f},
          .grayscale = 0.2f,
          .blur = GaussianBlur{}};
}

class KeptImages : public tests::DeviceTest {
 protected:
  static bool has_memory_of_its_own() { return device().kind != DeviceKind::cpu; }

  // Two epochs of images and labels.
  static Bytes batches(const Dataset& set, BatchOptions options, std::optional<std::int64_t> most) {
    options.device = device();
    options.most_on_device = most;
    BatchLoader loader(set, options);
    std::vector<Batch> all;  // read at the end: the host runs ahead of the device
    for (const int epoch : {0, 3}) {
      loader.start_epoch(epoch);
      for (std::int64_t b = 0; b < loader.batches(); ++b)
        all.push_back(loader.next());
    }
    Bytes bytes;
    for (const Batch& batch : all) {
      bytes.push_back(tests::bits(batch.images));
      bytes.push_back(tests::bits(batch.labels));
    }
    return bytes;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, KeptImages, tests::every_device(), tests::device_name);

TEST_P(KeptImages, BatchesHaveTheBitsOfThoseThatAreCopied) {
  const Dataset set = shapes();
  const auto images = static_cast<std::int64_t>(set.images.bytes());
  for (BatchOptions options :
       {BatchOptions{.batch_size = 8, .order = {.drop_last = false}, .augment = crop_flip(), .seed = 3},
        BatchOptions{.batch_size = 8, .views = 2, .augment = contrastive(), .seed = 4},
        BatchOptions{
            .batch_size = 6, .views = 2, .classes_per_batch = 3, .augment = crop_flip(), .seed = 5}}) {
    const Bytes kept = batches(set, options, {});
    EXPECT_GE(kept.size(), 16u);
    EXPECT_TRUE(batches(set, options, images) == kept) << "just fits";
    EXPECT_TRUE(batches(set, options, images - 1) == kept) << "just does not";
  }
}

TEST_P(KeptImages, ASetThatDoesNotFitTakesUpNoMemoryOfTheDevice) {
  const Dataset set = make_shapes({.size = 32, .samples = 400, .seed = 5}, Split::train);
  const std::size_t images = set.images.bytes();
  const auto taken = [&](std::optional<std::int64_t> most) {
    const std::size_t before = memory_stats(device()).in_use;
    const DeviceImages held(set.images, device(), most);
    EXPECT_EQ(held.kept(), !has_memory_of_its_own() || !most);
    return memory_stats(device()).in_use - before;
  };
  EXPECT_LT(taken(0), images / 100);
  EXPECT_GE(taken({}), has_memory_of_its_own() ? images : 0);
}

TEST_P(KeptImages, RowsAreThoseOfTheSamples) {
  const Dataset set = shapes();
  if (!has_memory_of_its_own()) GTEST_SKIP() << "a CPU reads them where they are";
  DeviceImages held(set.images, device(), 0);
  const std::vector<std::uint8_t> rows = held.rows({40, 0, 7, 7}).to_host<std::uint8_t>(),
                                  all = set.images.to_host<std::uint8_t>();
  const std::size_t size = 16 * 16 * 3;
  for (const auto& [row, sample] : {std::pair{0, 40}, {1, 0}, {2, 7}, {3, 7}})
    EXPECT_TRUE(
        std::equal(all.begin() + sample * size, all.begin() + (sample + 1) * size, rows.begin() + row * size))
        << row;
  EXPECT_THROW(held.rows({41}), Error);
  EXPECT_THROW(held.rows({-1}), Error);
}

// Photos of several sizes are read, cropped and resized on the host whatever the device may keep.
TEST_P(KeptImages, PhotosOfSeveralSizesAreCopied) {
  const tests::TestFolder folder;
  tests::write_photos(folder.path(), 5, false);
  const Dataset photos =
      load_folder(folder.path(), Split::train, {.square = {.side = 16}, .test_fraction = 0.01});
  const BatchOptions options{.batch_size = 4,
                             .views = 2,
                             .augment = {.resized_crop = ResizedCrop{.scale_low = 0.2}, .flip = true},
                             .seed = 7,
                             .workers = 2};
  const Bytes copied = batches(photos, options, {});
  EXPECT_TRUE(batches(photos, options, 0) == copied);
  BatchLoader on_cpu(photos, options);
  EXPECT_TRUE(tests::bits(on_cpu.next().images) == copied[0]) << "mirroring and normalising round alike";
}

// The weights after two epochs of steps that are captured from the ids on.
TEST_P(KeptImages, CapturedStepsEndWithTheSameWeights) {
  const auto weights = [&](const Dataset& set, AugmentOptions augment, GraphMode graph,
                           std::optional<std::int64_t> most) {
    const auto model = nn::make_model("resnet20", {.width = 0.25}, 1, device());
    model->train(true);
    const auto optimizer = nn::make_optimizer("sgd", model->parameters(), {.momentum = 0.9f});
    Step step(device());
    step.set_learning_rate(0.1f);
    BatchLoader loader(
        set, {.batch_size = 2, .augment = augment, .seed = 2, .device = device(), .most_on_device = most});
    Replayed train(device(), graph, [&](const std::vector<Tensor>& feed) {
      const LabelledImages batch = loader.make(feed);
      const CrossEntropy ce = cross_entropy(model->forward(batch.images), batch.labels);
      optimizer->clear_gradients();
      backward(ce.loss);
      optimizer->step(step);
      step.advance(2, ce.loss, ce.correct);
      return std::vector<Tensor>{};
    });
    for (int epoch = 0; epoch < 2; ++epoch) {
      loader.start_epoch(epoch);
      for (std::int64_t b = 0; b < loader.batches(); ++b)
        train(loader.feed(b).tensors);
    }
    EXPECT_EQ(train.captured(), graph == GraphMode::on && has_memory_of_its_own());
    Bytes all{tests::bits(step.state())};
    model->visit([&](const nn::Entry& e) { all.push_back(tests::bits(*e.tensor)); });
    return all;
  };
  const Dataset set = shapes().first(4);
  const Bytes plain = weights(set, crop_flip(), GraphMode::off, {});
  EXPECT_TRUE(weights(set, crop_flip(), GraphMode::on, {}) == plain) << "kept";
  EXPECT_TRUE(weights(set, crop_flip(), GraphMode::on, 0) == plain) << "copied";

  const tests::TestFolder folder;
  tests::write_photos(folder.path(), 2, false);
  const Dataset photos =
      load_folder(folder.path(), Split::train, {.square = {.side = 16}, .test_fraction = 0.01}).first(4);
  AugmentOptions colours = contrastive();
  colours.height = colours.width = 0;
  EXPECT_TRUE(weights(photos, colours, GraphMode::on, {}) == weights(photos, colours, GraphMode::off, {}))
      << "read from files";
}

}  // namespace
}  // namespace clx::data
