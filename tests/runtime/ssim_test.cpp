#include "runtime/ops/ssim.h"

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/ssim.h"

namespace clx::tests {
namespace {

class Ssim : public DeviceTest {
 protected:
  static void check(const Shape& shape,
                    const SsimOptions& options,
                    const std::vector<double>& weights,
                    double covariance,
                    double largest = 1) {
    SCOPED_TRACE(concat("maps ", shape, ", window ", weights.size()));
    check_op(
        device(), {{uniform(shape, 1, 0, largest)}, {uniform(shape, 2, 0, largest)}},
        [&](const auto& in) { return structural_similarity(in[0], in[1], options); },
        [&](const auto& in) {
          return reference::ssim(in[0], in[1], weights, covariance, options.data_range);
        },
        {.f32 = {1e-7, 1e-7}, .gradient = false});
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Ssim, every_device(), device_name);

TEST_P(Ssim, MatchesReferenceOnOddSizes) {
  const auto weights = reference::uniform_weights(7);
  for (const Shape& shape :
       {Shape{1, 7, 7}, Shape{3, 8, 13}, Shape{2, 41, 17}, Shape{1, 9, 131}, Shape{1, 39, 129}})
    check(shape, {}, weights, 49.0 / 48);
}

TEST_P(Ssim, MatchesReferenceWithOtherWindowsAndRanges) {
  check({2, 11, 19}, {.window = 3}, reference::uniform_weights(3), 9.0 / 8);
  check({1, 33, 31}, {.window = 31, .sample_covariance = false}, reference::uniform_weights(31), 1);
  check({1, 12, 10}, {.data_range = 255}, reference::uniform_weights(7), 49.0 / 48, 255);
}

TEST_P(Ssim, MatchesReferenceWithGaussianWindows) {
  const SsimOptions options{.gaussian = true};
  for (const Shape& shape : {Shape{1, 11, 11}, Shape{2, 13, 29}, Shape{1, 43, 12}})
    check(shape, options, reference::gaussian_weights(5, 1.5), 1);
  check({1, 15, 14}, {.gaussian = true, .sigma = 0.8}, reference::gaussian_weights(3, 0.8), 1);
}

// The means are 10⁵ times the deviations: sums in f32 would lose them.
TEST_P(Ssim, KeepsItsDigitsForFlatMaps) {
  Array a = uniform({1, 16, 16}, 3, 0, 1e-3), b = uniform({1, 16, 16}, 4, 0, 1e-3);
  for (Array* map : {&a, &b})
    for (double& v : map->values)
      v = static_cast<double>(static_cast<float>(v + 100));
  const double expected = reference::ssim(a, b, reference::uniform_weights(7), 49.0 / 48)[0];
  const Tensor y = structural_similarity(to_tensor(a, device()), to_tensor(b, device()));
  EXPECT_NEAR(y.item(), expected, 1e-6);
}

TEST_P(Ssim, OfEqualMapsIsOne) {
  const Tensor zero = Tensor::zeros({2, 10, 9}, device()), map = to_tensor(uniform({2, 10, 9}, 5), device());
  EXPECT_EQ(structural_similarity(zero, zero).to_host(), std::vector<float>(2, 1));
  EXPECT_EQ(structural_similarity(map, map).to_host(), std::vector<float>(2, 1));
  EXPECT_LT(structural_similarity(zero, map).to_host()[0], 0.1f);
}

TEST_P(Ssim, DoesNotDependOnTheBatch) {
  const Array a = uniform({5, 17, 23}, 6, 0, 1), b = uniform({5, 17, 23}, 7, 0, 1);
  const Tensor x = to_tensor(a, device()), y = to_tensor(b, device());
  const std::vector<float> all = structural_similarity(x, y).to_host();
  for (std::int64_t n = 0; n < 5; ++n)
    EXPECT_EQ(structural_similarity(x.slice(n, n + 1), y.slice(n, n + 1)).item(),
              all[static_cast<std::size_t>(n)]);
}

TEST_P(Ssim, RefusesWhatItCannotCompare) {
  const Tensor map = Tensor::zeros({1, 8, 8}, device());
  EXPECT_THROW(structural_similarity(map, Tensor::zeros({1, 8, 9}, device())), Error);
  EXPECT_THROW(structural_similarity(map, Tensor::zeros({1, 8, 8}, device(), DType::bf16)), Error);
  EXPECT_THROW(structural_similarity(Tensor::zeros({8, 8}, device()), Tensor::zeros({8, 8}, device())),
               Error);
  EXPECT_THROW(structural_similarity(map, map, {.window = 9}), Error);
  EXPECT_THROW(structural_similarity(map, map, {.window = 6}), Error);
  EXPECT_THROW(structural_similarity(map, map, {.gaussian = true}), Error) << "11×11";
  EXPECT_THROW(structural_similarity(map, map, {.gaussian = true, .sigma = 9}), Error);
  EXPECT_THROW(structural_similarity(map, map, {.data_range = 0}), Error);
}

}  // namespace
}  // namespace clx::tests
