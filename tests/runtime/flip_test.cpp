#include "runtime/ops/flip.h"

#include "runtime/ops/rank.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/rank.h"
#include "tests/reference/softmax.h"

namespace clx::tests {
namespace {

// The flipped image number `number` of the list, value by value.
Array flipped(const Array& x,
              const std::vector<std::int32_t>& ranks,
              bool channels,
              const Array& baseline,
              const FlipSteps& steps,
              std::int64_t number) {
  const std::int64_t size = x.size() / x.dim(0), C = x.dim(3), n = number / steps.states(),
                     removed = (steps.begin + number % steps.states()) * steps.per_step;
  Array y({1, x.dim(1), x.dim(2), C});
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t at = channels ? n * size + i : (n * size + i) / C;
    y[i] = ranks[static_cast<std::size_t>(at)] < removed ? baseline(n, i % C) : x[n * size + i];
  }
  return y;
}

class Flip : public DeviceTest {
 protected:
  static void check(const Shape& shape, const FlipSteps& steps, bool channels, DType dtype = DType::f32) {
    SCOPED_TRACE(concat("images ", shape, " ", name_of(dtype), channels ? ", channels" : ", pixels"));
    const std::int64_t N = shape[0], C = shape[3], listed = N * steps.states();
    const Array x = uniform(shape, 1, -2, 2, dtype), maps = integers({N, shape[1], shape[2]}, 2, 9),
                baseline = uniform({N, C}, 3, -2, 2, dtype);
    const int planes = channels ? static_cast<int>(C) : 1;
    const std::vector<std::int32_t> expected_ranks = reference::rank_maps(maps, planes);
    const Tensor images = to_tensor(x, device(), dtype), base = to_tensor(baseline, device());
    Tensor ranks = rank_maps(to_tensor(maps, device()), {.channels = planes});
    if (channels) ranks = ranks.reshape(shape);
    for (std::int64_t first = 0; first < listed; first += 3) {
      const std::int64_t count = std::min<std::int64_t>(3, listed - first);
      const Tensor y = flip(images, ranks, base, steps, first, count);
      EXPECT_EQ(y.dtype(), dtype);
      for (std::int64_t k = 0; k < count; ++k)
        EXPECT_EQ(to_array(y.slice(k, k + 1)).values,
                  flipped(x, expected_ranks, channels, baseline, steps, first + k).values)
            << "number " << first + k;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Flip, every_device(), device_name);

TEST_P(Flip, ReplacesPixels) {
  check({2, 5, 7, 3}, {0, 6, 7}, false);
  check({1, 8, 9, 3}, {0, 4, 24}, false);
  check({3, 3, 5, 1}, {1, 15, 1}, false);
  check({2, 7, 11, 4}, {7, 8, 11}, false);
}

TEST_P(Flip, ReplacesSingleChannels) {
  check({2, 5, 7, 3}, {0, 16, 7}, true);
  check({1, 16, 5, 3}, {1, 6, 40}, true);
  check({2, 3, 5, 2}, {0, 7, 5}, true);
}

TEST_P(Flip, ReplacesInBf16) {
  check({2, 6, 7, 3}, {0, 7, 7}, false, DType::bf16);
  check({1, 5, 7, 3}, {2, 6, 21}, true, DType::bf16);
}

TEST_P(Flip, HasTheImagesLeastValueAndMean) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : {Shape{3, 7, 5, 3}, Shape{1, 1, 1, 1}, Shape{2, 17, 19, 2}}) {
      const Array x = uniform(shape, 4, -2, 1, dtype);
      const Tensor images = to_tensor(x, device(), dtype);
      const std::int64_t N = shape[0], C = shape[3], size = x.size() / N;
      Array least({N, C}), mean({N, C});
      for (std::int64_t n = 0; n < N; ++n)
        for (std::int64_t c = 0; c < C; ++c) {
          least(n, c) = *std::min_element(&x.values[static_cast<std::size_t>(n * size)],
                                          x.values.data() + (n + 1) * size);
          for (std::int64_t i = c; i < size; i += C)
            mean(n, c) += x[n * size + i] / static_cast<double>(size / C);
        }
      EXPECT_EQ(to_array(flip_baseline(images, FlipValue::least)).values, least.values);
      EXPECT_TRUE(all_close(to_array(flip_baseline(images, FlipValue::mean)), mean, {1e-7, 1e-7}));
    }
}

TEST_P(Flip, ScoresTheClassOfEachImage) {
  for (const std::int64_t K : {3, 10, 67}) {
    const Array logits = uniform({7, K}, 5, -9, 9), p = reference::softmax(logits);
    const std::vector<std::int32_t> classes{2, 0, static_cast<std::int32_t>(K - 1)};
    const Tensor on_device = Tensor::from_host({3}, classes, device());
    Tensor scores = Tensor::zeros({3, 6}, device());
    class_score(to_tensor(logits, device()), on_device, 3, 4, 1, &scores);
    const Array actual = to_array(scores);
    for (std::int64_t n = 0; n < 3; ++n)
      for (std::int64_t s = -1; s < 5; ++s) {
        const std::int64_t i = 4 * n + s;
        const bool scored = s >= 0 && s < 4 && i >= 3 && i <= 9;
        EXPECT_NEAR(actual(n, s + 1), scored ? p(i - 3, classes[static_cast<std::size_t>(n)]) : 0, 1e-6);
      }
  }
  EXPECT_NEAR(to_array(curve_areas(Tensor::from_host<float>({1, 4}, {0.5f, 0.25f, 0.5f, 1}, device())))[2],
              (0.375 + 0.75) / 2 / 0.5, 1e-7);
}

TEST_P(Flip, HasTheAreasUnderCurves) {
  for (const std::int64_t steps : {2, 3, 224}) {
    const Array p = uniform({5, steps + 1}, 6, 0, 1);
    const Array areas = to_array(curve_areas(to_tensor(p, device())));
    for (std::int64_t n = 0; n < 5; ++n) {
      double without = 0;
      for (std::int64_t s = 1; s < steps; ++s)
        without += (p(n, s) + p(n, s + 1)) / 2;
      const double with = without + (p(n, 0) + p(n, 1)) / 2, S = static_cast<double>(steps);
      EXPECT_NEAR(areas(n, 0), without / (S - 1), 1e-6);
      EXPECT_NEAR(areas(n, 1), with / S, 1e-6);
      EXPECT_NEAR(areas(n, 2), without / (S - 1) / p(n, 0), 1e-6 / p(n, 0));
    }
  }
}

TEST_P(Flip, RefusesWhatDoesNotFit) {
  const Tensor images = Tensor::zeros({2, 3, 4, 3}, device()),
               ranks = Tensor::zeros({2, 3, 4}, device(), DType::i32),
               baseline = Tensor::zeros({2, 3}, device());
  const FlipSteps steps{0, 5, 3};
  EXPECT_NO_THROW(flip(images, ranks, baseline, steps, 0, 10));
  EXPECT_THROW(flip(images, ranks, baseline, steps, 1, 10), Error);
  EXPECT_THROW(flip(images, ranks, baseline, steps, 0, 0), Error);
  EXPECT_THROW(flip(images, ranks, baseline, {3, 3, 3}, 0, 1), Error);
  EXPECT_THROW(flip(images, Tensor::zeros({2, 4, 3}, device(), DType::i32), baseline, steps, 0, 1), Error);
  EXPECT_THROW(flip(images, ranks, Tensor::zeros({2, 4}, device()), steps, 0, 1), Error);
  EXPECT_THROW(flip_baseline(ranks, FlipValue::least), Error);
  EXPECT_THROW(curve_areas(Tensor::zeros({1, 2}, device())), Error);
  Tensor scores = Tensor::zeros({2, 5}, device());
  const Tensor classes = Tensor::zeros({2}, device(), DType::i32), logits = Tensor::zeros({3, 4}, device());
  EXPECT_NO_THROW(class_score(logits, classes, 7, 5, 0, &scores));
  EXPECT_NO_THROW(class_score(logits, classes, 5, 4, 1, &scores));
  EXPECT_THROW(class_score(logits, classes, 8, 5, 0, &scores), Error);
  EXPECT_THROW(class_score(logits, classes, 0, 4, 2, &scores), Error);
}

}  // namespace
}  // namespace clx::tests
