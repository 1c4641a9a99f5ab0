#include "runtime/ops/gather.h"

#include <random>
#include <set>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/gather_images.h"

namespace clx::tests {
namespace {

// Random pixels, 0 … 255.
Array pixels(const Shape& shape, unsigned seed) {
  Array a(shape);
  std::mt19937 generator(seed);
  for (double& value : a.values)
    value = generator() % 256;
  return a;
}

class GatherImages : public DeviceTest {
 protected:
  static Tensor images(const Array& a) {
    return Tensor::from_host(a.shape, std::vector<std::uint8_t>(a.values.begin(), a.values.end()), device());
  }
  static Tensor samples(const std::vector<std::int64_t>& values) {
    return Tensor::from_host({static_cast<std::int64_t>(values.size())}, values, device());
  }
  static Step step(std::uint64_t seed, int epoch) {
    Step s(device());
    s.set_key(seed, epoch);
    return s;
  }
  static void check(const Array& data,
                    const std::vector<std::int64_t>& chosen,
                    const GatherOptions& options) {
    SCOPED_TRACE(concat("images ", data.shape, ", padding ", options.padding, ", flip ", options.flip, ", ",
                        name_of(options.dtype)));
    const Tensor y = gather_images(images(data), samples(chosen), step(42, 7), options);
    const Array expected = reference::gather_images(data, chosen,
                                                    {{options.mean.begin(), options.mean.end()},
                                                     {options.std.begin(), options.std.end()},
                                                     options.padding,
                                                     options.flip,
                                                     42,
                                                     7});
    ASSERT_EQ(y.dtype(), options.dtype);
    const Tolerance one_rounding{1e-6, 1.0 / 256};
    EXPECT_TRUE(all_close(to_array(y), expected,
                          options.dtype == DType::bf16 ? one_rounding : Tolerance{2e-6, 1e-6}));
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, GatherImages, every_device(), device_name);

const std::vector<float> kMean{0.49f, 0.48f, 0.45f}, kStd{0.25f, 0.24f, 0.26f};

TEST_P(GatherImages, MatchesReferenceWithoutAugmentation) {
  check(pixels({1, 1, 1, 1}, 1), {0}, {});
  check(pixels({5, 7, 3, 3}, 2), {4, 0, 0, 2}, {.mean = kMean, .std = kStd});
  check(pixels({3, 5, 5, 4}, 3), {2, 1}, {});
}

TEST_P(GatherImages, MatchesReferenceWithCropAndFlip) {
  const std::vector<std::int64_t> chosen{3, 1, 4, 1, 5, 9, 2, 6, 0};
  const Array data = pixels({10, 6, 7, 3}, 1);
  check(data, chosen, {.mean = kMean, .std = kStd, .flip = true});
  check(data, chosen, {.mean = kMean, .std = kStd, .padding = 2});
  check(data, chosen, {.mean = kMean, .std = kStd, .padding = 4, .flip = true});
  check(data, chosen, {.padding = 9, .flip = true});  // wider than the image
  check(pixels({10, 6, 7, 1}, 1), chosen, {.padding = 1, .flip = true});
}

TEST_P(GatherImages, MatchesReferenceInBf16) {
  check(pixels({4, 9, 5, 3}, 1), {3, 1, 2},
        {.mean = kMean, .std = kStd, .padding = 2, .flip = true, .dtype = DType::bf16});
}

TEST_P(GatherImages, AugmentsASampleAlikeInAnyBatch) {
  const Tensor data = images(pixels({8, 5, 5, 3}, 1));
  const GatherOptions options{.padding = 2, .flip = true};
  const Step now = step(1, 2);
  const Tensor all = gather_images(data, samples({0, 1, 2, 3, 4, 5, 6, 7}), now, options);
  const Tensor reversed = gather_images(data, samples({7, 6, 5, 4, 3, 2, 1, 0}), now, options);
  for (int i = 0; i < 8; ++i)
    EXPECT_TRUE(same_bits(all.slice(i, i + 1), reversed.slice(7 - i, 8 - i))) << "sample " << i;
}

TEST_P(GatherImages, DrawsAnewInEveryEpochAndForEverySeed) {
  const Tensor data = images(pixels({1, 8, 8, 1}, 1));
  std::set<std::vector<std::uint8_t>> seen;
  for (int epoch = 0; epoch < 12; ++epoch)
    for (const std::uint64_t seed : {1, 2})
      seen.insert(bits(gather_images(data, samples({0}), step(seed, epoch), {.padding = 4, .flip = true})));
  EXPECT_GT(seen.size(), 18u) << "of 24 draws among 162 crops";
}

TEST_P(GatherImages, MirrorsHalfOfTheSamplesAndUsesEveryOffset) {
  // One white pixel in the left column tells by its place what was drawn.
  const int count = 400;
  std::vector<std::int64_t> chosen(count, 0);
  Array data({count, 3, 4, 1});
  for (int i = 0; i < count; ++i) {
    chosen[static_cast<std::size_t>(i)] = i;
    data(i, 1, 0, 0) = 255;
  }
  const Array y =
      to_array(gather_images(images(data), samples(chosen), step(3, 0), {.padding = 1, .flip = true}));
  int left_half = 0;
  std::set<int> places;
  for (int n = 0; n < count; ++n)
    for (int place = 0; place < 12; ++place)
      if (y[n * 12 + place] == 1) {
        places.insert(place);
        left_half += place % 4 < 2;
      }
  // Mirrored or not, one of three columns of the crop hides the pixel: 2/3 of the samples show it.
  EXPECT_EQ(places.size(), 12u);
  EXPECT_NEAR(left_half, count / 3, 5 * std::sqrt(count * 2 / 9.0));
}

TEST_P(GatherImages, RefusesWhatDoesNotFit) {
  const Tensor data = images(pixels({4, 5, 5, 3}, 1));
  const Step now = step(1, 0);
  const Tensor some = samples({0, 1});
  EXPECT_THROW(gather_images(Tensor::zeros({4, 5, 5, 3}, device()), some, now, {}), Error) << "f32 images";
  EXPECT_THROW(gather_images(data.reshape({20, 5, 3}), some, now, {}), Error) << "three axes";
  EXPECT_THROW(gather_images(data.reshape({3, 5, 4, 5}), some, now, {}), Error) << "five channels";
  EXPECT_THROW(gather_images(data, samples({}), now, {}), Error) << "an empty batch";
  EXPECT_THROW(gather_images(data, Tensor::zeros({2}, device(), DType::i32), now, {}), Error);
  EXPECT_THROW(gather_images(data, some, now, {.mean = {0.5f}}), Error) << "one mean for three channels";
  EXPECT_THROW(gather_images(data, some, now, {.std = {1, 1}}), Error);
  EXPECT_THROW(gather_images(data, some, now, {.std = {1, 0, 1}}), Error) << "a deviation of 0";
  EXPECT_THROW(gather_images(data, some, now, {.padding = -1}), Error);
  EXPECT_THROW(gather_images(data, some, now, {.dtype = DType::u8}), Error);
  EXPECT_THROW(gather_images(data, some, Step(device() == kCpu ? kEmulated : kCpu), {}), Error);
  if (device().kind == DeviceKind::cuda) return;  // reading the samples would wait for the device
  EXPECT_THROW(gather_images(data, samples({4}), now, {}), Error);
  EXPECT_THROW(gather_images(data, samples({-1}), now, {}), Error);
}

TEST_P(GatherImages, GatherLabelsPicksThem) {
  std::vector<std::int32_t> labels(300);
  std::vector<std::int64_t> chosen;
  std::vector<std::int32_t> expected;
  for (int i = 0; i < 300; ++i)
    labels[static_cast<std::size_t>(i)] = i * i % 17;
  for (int i = 0; i < 131; ++i) {
    chosen.push_back(i * 7 % 300);
    expected.push_back(labels[static_cast<std::size_t>(chosen.back())]);
  }
  const Tensor all = Tensor::from_host({300}, labels, device());
  EXPECT_EQ(gather_labels(all, samples(chosen)).to_host<std::int32_t>(), expected);
  EXPECT_THROW(gather_labels(all.reshape({30, 10}), samples({0})), Error);
  EXPECT_THROW(gather_labels(Tensor::zeros({3}, device()), samples({0})), Error);
  EXPECT_THROW(gather_labels(all, samples({})), Error);
  if (device().kind == DeviceKind::cuda) return;  // reading the samples would wait for the device
  EXPECT_THROW(gather_labels(all, samples({300})), Error);
}

}  // namespace
}  // namespace clx::tests
