// Data sets and the order of samples.
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <set>

#include "nn/data/cifar10.h"
#include "nn/data/loader.h"
#include "nn/data/outline.h"
#include "nn/data/shapes.h"
#include "runtime/check.h"
#include "tests/nn/test_data.h"

namespace clx::data {
namespace {

using tests::TestFolder;
using tests::text_of_error;

constexpr std::size_t kRecord = 3073, kFileBytes = 30730000;

// A file of zeros but for the given bytes.
void write_file(const std::filesystem::path& path,
                std::size_t bytes,
                const std::vector<std::pair<std::size_t, char>>& set = {}) {
  std::ofstream out(path, std::ios::binary);
  for (const auto& [offset, value] : set) {
    out.seekp(static_cast<std::streamoff>(offset));
    out.put(value);
  }
  out.close();
  std::filesystem::resize_file(path, bytes);
}

TEST(Cifar10, interleaves_the_planes_and_keeps_the_order_of_files) {
  const TestFolder folder;
  write_file(folder / "b.bin", kFileBytes,
             {{0, 7}, {1, 11}, {1 + 1024, 22}, {1 + 2048, 33}, {1 + 32 + 5, 44}});
  write_file(folder / "a.bin", kFileBytes, {{9999 * kRecord, 3}, {10000 * kRecord - 1, 55}});
  const Dataset set = load_cifar10(folder.path(), Split::train, {.train_files = {"b.bin", "a.bin"}});
  ASSERT_EQ(set.images.shape(), (Shape{20000, 32, 32, 3}));
  const auto* pixels = set.images.data<std::uint8_t>();
  EXPECT_EQ(set.labels.front(), 7);
  EXPECT_EQ(set.labels.back(), 3);
  EXPECT_EQ((std::vector<int>{pixels[0], pixels[1], pixels[2]}), (std::vector<int>{11, 22, 33}));
  EXPECT_EQ(pixels[(32 + 5) * 3], 44);           // row 1, column 5, red
  EXPECT_EQ(pixels[set.images.size() - 1], 55);  // the last blue
  EXPECT_EQ(set.class_names[7], "horse");
  EXPECT_EQ(set.info().std, (std::vector<float>{0.2470f, 0.2435f, 0.2616f}));
}

TEST(Cifar10, finds_the_folder_inside_the_one_it_was_unpacked_in) {
  const TestFolder folder;
  std::filesystem::create_directories(folder / "cifar-10-batches-bin");
  write_file(folder / "cifar-10-batches-bin/test_batch.bin", kFileBytes);
  EXPECT_EQ(load_cifar10(folder.path(), Split::test).size(), 10000);
}

TEST(Cifar10, says_which_file_is_missing_and_where_to_get_it) {
  const TestFolder folder;
  write_file(folder / "data_batch_1.bin", kFileBytes);
  const std::string text = text_of_error<DataError>([&] { load_cifar10(folder.path(), Split::train); });
  EXPECT_NE(text.find("expected data_batch_2.bin in " + folder.path().string()), std::string::npos) << text;
  EXPECT_NE(text.find("download cifar-10-binary.tar.gz"), std::string::npos) << text;
}

TEST(Cifar10, names_file_and_record_of_what_is_damaged) {
  const TestFolder folder;
  const auto path = folder / "test_batch.bin";
  const auto refusal = [&] {
    return text_of_error<DataError>([&] { load_cifar10(folder.path(), Split::test); });
  };
  write_file(path, 5 * kRecord + 100);
  EXPECT_EQ(refusal(), "cifar10: " + path.string() +
                           " is truncated in record 5: expected 30730000 bytes (10,000 records of "
                           "3,073), got 15465");
  write_file(path, kFileBytes - kRecord);
  EXPECT_NE(refusal().find("truncated in record 9999"), std::string::npos);
  write_file(path, kFileBytes + 1);
  EXPECT_NE(refusal().find("got 30730001"), std::string::npos);
  write_file(path, kFileBytes, {{1234 * kRecord, 10}});
  EXPECT_EQ(refusal(), "cifar10: " + path.string() + ": expected a label within 0…9 in record 1234, got 10");
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_NE(refusal().find("to be a file"), std::string::npos);
}

TEST(Cifar10, real_test_set_has_the_published_counts_and_the_first_training_file_the_published_means) {
  const auto folder = tests::test_data() / "cifar-10-batches-bin";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "needs CIFAR-10 in " << folder;
  const Dataset test = load_cifar10(folder, Split::test);
  for (int k = 0; k < 10; ++k)
    EXPECT_EQ(std::ranges::count(test.labels, k), 1000);
  const Dataset train = load_cifar10(folder, Split::train, {.train_files = {"data_batch_1.bin"}});
  std::array<double, 3> mean{};
  const auto* pixels = train.images.data<std::uint8_t>();
  for (std::int64_t i = 0; i < train.images.size(); ++i)
    mean[static_cast<std::size_t>(i % 3)] += pixels[i] / 255.0 / (10000 * 1024);
  for (std::size_t c = 0; c < 3; ++c)
    EXPECT_NEAR(mean[c], train.mean[c], 0.003);  // a fifth of the training set
}

TEST(Dataset, first_keeps_the_beginning) {
  const Dataset set = make_shapes({.size = 16, .samples = 12}, Split::train);
  const Dataset part = set.first(5);
  EXPECT_EQ(part.size(), 5);
  EXPECT_EQ(part.images.shape(), (Shape{5, 16, 16, 3}));
  EXPECT_EQ(part.masks.shape(), (Shape{5, 16, 16}));
  EXPECT_EQ(part.label_tensor().to_host<std::int32_t>(), part.labels);
  EXPECT_EQ(set.first(100).size(), 12);
  EXPECT_THROW(set.first(0), Error);
}

TEST(Shapes, a_sample_depends_on_seed_split_and_index_only) {
  const auto pixels = [](const Dataset& set) { return set.images.to_host<std::uint8_t>(); };
  const Dataset many = make_shapes({.size = 24, .samples = 37}, Split::train);
  const Dataset few = make_shapes({.size = 24, .samples = 8}, Split::train);
  EXPECT_EQ(pixels(few), pixels(many.first(8)));
  EXPECT_EQ(few.masks.to_host<std::uint8_t>(), many.first(8).masks.to_host<std::uint8_t>());
  EXPECT_EQ(few.labels, many.first(8).labels);
  EXPECT_NE(pixels(few), pixels(make_shapes({.size = 24, .samples = 8}, Split::test)));
  EXPECT_NE(pixels(few), pixels(make_shapes({.size = 24, .samples = 8, .seed = 1}, Split::train)));
}

TEST(Shapes, every_ten_samples_hold_every_class) {
  const Dataset set = make_shapes({.size = 16, .samples = 60}, Split::test);
  std::set<std::vector<std::int32_t>> orders;
  for (int g = 0; g < 6; ++g) {
    std::vector<std::int32_t> ten(set.labels.begin() + 10 * g, set.labels.begin() + 10 * (g + 1));
    orders.insert(ten);
    std::ranges::sort(ten);
    EXPECT_EQ(ten, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
  EXPECT_EQ(orders.size(), 6u);
  EXPECT_EQ(set.class_names.size(), 10u);
}

TEST(Shapes, masks_cover_a_plausible_part_of_the_image) {
  for (const int size : {16, 32, 65}) {
    const Dataset set = make_shapes({.size = size, .samples = 100}, Split::train);
    const auto* mask = set.masks.data<std::uint8_t>();
    for (int i = 0; i < 100; ++i) {
      const auto on = std::count(mask + i * size * size, mask + (i + 1) * size * size, 1);
      EXPECT_EQ(on + std::count(mask + i * size * size, mask + (i + 1) * size * size, 0), size * size);
      EXPECT_GT(on, 0.01 * size * size)
          << set.class_names[static_cast<std::size_t>(set.labels[static_cast<std::size_t>(i)])];
      EXPECT_LT(on, 0.5 * size * size);
    }
  }
}

// Pixels of the object differ from those around it: the mask is where the object was painted.
TEST(Shapes, masks_lie_on_the_object) {
  const Dataset set = make_shapes({.size = 32, .samples = 200}, Split::train);
  const auto* pixels = set.images.data<std::uint8_t>();
  const auto* mask = set.masks.data<std::uint8_t>();
  double across = 0, within = 0;  // mean difference of neighbours across the mask's edge, and inside
  std::int64_t edges = 0, insides = 0;
  for (std::int64_t p = 0; p + 1 < set.masks.size(); ++p) {
    if (p % 32 == 31 || (mask[p] == 0 && mask[p + 1] == 0)) continue;
    double difference = 0;
    for (std::int64_t c = 0; c < 3; ++c)
      difference += std::abs(pixels[3 * p + c] - pixels[3 * p + 3 + c]);
    (mask[p] != mask[p + 1] ? across : within) += difference;
    ++(mask[p] != mask[p + 1] ? edges : insides);
  }
  EXPECT_GT(across / static_cast<double>(edges), 4 * within / static_cast<double>(insides));
}

TEST(Shapes, outlines_differ_from_each_other) {
  const auto raster = [](int label) {
    std::vector<bool> in;
    for (int i = -20; i <= 20; ++i)
      for (int j = -20; j <= 20; ++j)
        in.push_back(inside_outline(label, static_cast<float>(j) / 18, static_cast<float>(i) / 18));
    return in;
  };
  for (int a = 0; a < 10; ++a)
    for (int b = 0; b < a; ++b) {
      const auto x = raster(a), y = raster(b);
      int differ = 0;
      for (std::size_t i = 0; i < x.size(); ++i)
        differ += x[i] != y[i];
      EXPECT_GT(differ, 40) << outline_names()[static_cast<std::size_t>(a)] << " "
                            << outline_names()[static_cast<std::size_t>(b)];
    }
}

TEST(Shapes, refuses_sizes_out_of_range) {
  EXPECT_THROW(make_shapes({.size = 8}, Split::train), Error);
  EXPECT_THROW(make_shapes({.size = 5000}, Split::train), Error);
  EXPECT_THROW(make_shapes({.samples = 0}, Split::train), Error);
}

std::vector<std::int64_t> whole_epoch(const EpochOrder& order) {
  std::vector<std::int64_t> ids;
  for (std::int64_t b = 0; b < order.batches(); ++b)
    std::ranges::copy(order.batch(b), std::back_inserter(ids));
  return ids;
}

TEST(EpochOrder, shows_every_sample_once) {
  EpochOrder order(103, 10, 5, {.drop_last = false});
  EXPECT_EQ(order.batches(), 11);
  EXPECT_EQ(order.batch(10).size(), 3u);
  auto ids = whole_epoch(order);
  std::ranges::sort(ids);
  for (std::int64_t i = 0; i < 103; ++i)
    EXPECT_EQ(ids[static_cast<std::size_t>(i)], i);
}

TEST(EpochOrder, is_a_function_of_seed_and_epoch_not_of_batch_size_or_history) {
  EpochOrder a(100, 7, 5, {.drop_last = false}), b(100, 100, 5), c(100, 100, 6);
  const auto first = whole_epoch(a);
  EXPECT_EQ(first, whole_epoch(b));
  EXPECT_NE(first, whole_epoch(c));
  a.start_epoch(1);
  a.start_epoch(3);
  b.start_epoch(3);
  EXPECT_EQ(whole_epoch(a), whole_epoch(b));
  EXPECT_NE(whole_epoch(a), first);
  a.start_epoch(0);
  EXPECT_EQ(whole_epoch(a), first);
}

TEST(EpochOrder, drops_the_last_partial_batch_in_training) {
  EXPECT_EQ(EpochOrder(103, 10, 0).batches(), 10);
  EXPECT_EQ(EpochOrder(9, 10, 0).batches(), 0);
}

TEST(EpochOrder, keeps_the_files_order_without_shuffling) {
  EXPECT_EQ(EpochOrder(5, 2, 0, {.shuffle = false}).batch(1), (std::vector<std::int64_t>{2, 3}));
}

TEST(EpochOrder, shares_out_every_batch) {
  const EpochOrder whole(100, 12, 5);
  for (std::int64_t batch = 0; batch < whole.batches(); ++batch) {
    std::vector<std::int64_t> together;
    for (int share = 0; share < 3; ++share) {
      const EpochOrder one(100, 12, 5, {.shares = 3, .share = share});
      EXPECT_EQ(one.batches(), whole.batches());
      const std::vector<std::int64_t> ids = one.batch(batch);
      EXPECT_EQ(ids.size(), 4u);
      together.insert(together.end(), ids.begin(), ids.end());
    }
    EXPECT_EQ(together, whole.batch(batch));
  }
  EXPECT_THROW(EpochOrder(100, 10, 5, {.shares = 3}), Error) << "10 images for 3 processes";
  EXPECT_THROW(EpochOrder(100, 12, 5, {.drop_last = false, .shares = 3}), Error);
  EXPECT_THROW(EpochOrder(100, 12, 5, {.shares = 3, .share = 3}), Error);
  EXPECT_THROW(EpochOrder(100, 12, 5, {.shares = 0}), Error);
}

TEST(EpochOrder, refuses_what_is_out_of_range) {
  EXPECT_THROW(EpochOrder(0, 1, 0), Error);
  EXPECT_THROW(EpochOrder(1, 0, 0), Error);
  EpochOrder order(10, 5, 0);
  EXPECT_THROW(order.batch(2), Error);
  EXPECT_THROW(order.batch(-1), Error);
  EXPECT_THROW(order.start_epoch(-1), Error);
}

}  // namespace
}  // namespace clx::data
