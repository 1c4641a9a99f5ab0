#include "runtime/ops/map_scores.h"

#include <limits>

#include "runtime/ops/rank.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/map_scores.h"

namespace clx::tests {
namespace {

using Mask = std::vector<std::uint8_t>;

const std::vector<Shape> kShapes{{1, 1, 1}, {3, 5, 7}, {2, 1, 9}, {2, 32, 32}, {4, 17, 31}};

reference::Values values_of(const Array& maps, std::int64_t n) {
  const std::int64_t pixels = maps.size() / maps.dim(0);
  return {maps.values.begin() + n * pixels, maps.values.begin() + (n + 1) * pixels};
}

class MapScoresOp : public DeviceTest {
 protected:
  static void check(const Array& maps, float threshold = 1e-5f) {
    SCOPED_TRACE(concat("maps ", maps.shape));
    const Tensor on_device = to_tensor(maps, device());
    const auto scores = map_scores(on_device, rank_maps(on_device, {.magnitude = true}), threshold);
    ASSERT_EQ(static_cast<std::int64_t>(scores.size()), maps.dim(0));
    for (std::int64_t n = 0; n < maps.dim(0); ++n) {
      const MapScores& s = scores[static_cast<std::size_t>(n)];
      const reference::Values map = values_of(maps, n);
      EXPECT_NEAR(s.entropy, reference::entropy(map), 1e-11);
      EXPECT_NEAR(s.gini, reference::gini(map), 1e-11);
      EXPECT_EQ(s.effective, reference::effective(map, threshold));
      EXPECT_EQ(s.zero, 0);
    }
  }
  static Tensor masks_tensor(const Shape& shape, const Mask& masks) {
    return Tensor::from_host(shape, masks, device());
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, MapScoresOp, every_device(), device_name);

TEST_P(MapScoresOp, MatchReference) {
  unsigned seed = 1;
  for (const Shape& shape : kShapes) {
    check(uniform(shape, ++seed));
    check(uniform(shape, ++seed, 0, 1), 0.5f);
    Array sparse = uniform(shape, ++seed, -0.5, 1);
    for (double& v : sparse.values)
      v = std::max(v, 0.0);
    sparse.values[0] = 1;
    sparse.values[static_cast<std::size_t>(sparse.size() - 1)] = 1e-5;
    for (std::int64_t n = 1; n < shape[0]; ++n)
      sparse(n, std::int64_t{0}, std::int64_t{0}) = 1e-30f;
    check(sparse);
  }
}

TEST_P(MapScoresOp, OfTheMask) {
  unsigned seed = 1;
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(concat("maps ", shape));
    Array maps = uniform(shape, ++seed);
    for (double& v : maps.values)
      if (v < -0.3) v = -0.3f;  // ties
    const std::int64_t pixels = maps.size() / shape[0];
    Mask masks(maps.values.size());
    for (std::size_t i = 0; i < masks.size(); ++i)
      masks[i] = i % 3 == 0 ? static_cast<std::uint8_t>(1 + i % 255) : std::uint8_t{0};
    const Tensor on_device = to_tensor(maps, device());
    const auto scores = mask_scores(on_device, masks_tensor(shape, masks), rank_maps(on_device));
    for (std::int64_t n = 0; n < shape[0]; ++n) {
      const MaskScores& s = scores[static_cast<std::size_t>(n)];
      const reference::Values map = values_of(maps, n);
      const Mask mask(masks.begin() + n * pixels, masks.begin() + (n + 1) * pixels);
      const auto area =
          static_cast<std::size_t>(std::count_if(mask.begin(), mask.end(), [](auto m) { return m; }));
      ASSERT_GT(area, 0u);
      const auto same = [](double v) { return v; };
      const auto size = [](double v) { return std::abs(v); };
      const double largest = *std::max_element(map.begin(), map.end());
      EXPECT_EQ(s.hit, reference::sum_within(map, mask, [&](double v) { return v == largest; }) > 0);
      EXPECT_NEAR(s.share,
                  reference::sum_within(map, mask, size) / reference::sum_of(reference::magnitudes(map)),
                  1e-12);
      EXPECT_NEAR(s.mass, reference::sum_within(map, mask, same) / reference::sum_of(map),
                  1e-9 * std::max(1.0, std::abs(s.mass)));
      EXPECT_NEAR(s.top,
                  static_cast<double>(reference::first_within(map, mask, area)) / static_cast<double>(area),
                  1e-12);
      EXPECT_NEAR(s.area, static_cast<double>(area) / static_cast<double>(pixels), 1e-12);
    }
  }
}

TEST_P(MapScoresOp, CountAnyOfTiedMaxima) {
  const Tensor map = Tensor::from_host<float>({1, 2, 3}, {0.5f, 1, 0, 0, 1, 0.25f}, device());
  EXPECT_EQ(mask_scores(map, masks_tensor({1, 2, 3}, {0, 0, 0, 0, 9, 0}))[0].hit, 1);
  EXPECT_EQ(mask_scores(map, masks_tensor({1, 2, 3}, {0, 1, 0, 0, 1, 0}))[0].hit, 1);
  EXPECT_EQ(mask_scores(map, masks_tensor({1, 2, 3}, {1, 0, 1, 1, 0, 1}))[0].hit, 0);
}

TEST_P(MapScoresOp, AreNotANumberWhereThereIsNothing) {
  Array maps({3, 5, 7});
  maps(1, 2, 2) = std::numeric_limits<double>::quiet_NaN();
  maps(2, 2, 2) = 1e-40f;
  const Tensor on_device = to_tensor(maps, device());
  const auto scores = map_scores(on_device, rank_maps(on_device));
  EXPECT_TRUE(std::isnan(scores[0].entropy) && std::isnan(scores[0].gini));
  EXPECT_EQ(scores[0].zero, 1);
  EXPECT_TRUE(std::isnan(scores[1].entropy) && std::isnan(scores[1].gini));
  EXPECT_EQ(scores[1].zero, 0);
  EXPECT_EQ(scores[2].zero, 0);
  EXPECT_NEAR(scores[2].entropy, 0, 1e-12);
  Mask masks(3 * 35);
  const auto none = mask_scores(on_device, masks_tensor({3, 5, 7}, masks));
  std::fill(masks.begin(), masks.end(), std::uint8_t{1});
  const auto all = mask_scores(on_device, masks_tensor({3, 5, 7}, masks));
  EXPECT_TRUE(std::isnan(none[2].hit) && std::isnan(none[2].share) && std::isnan(none[2].mass));
  EXPECT_EQ(none[2].area, 0);
  EXPECT_TRUE(std::isnan(all[0].hit) && std::isnan(all[1].share));
  EXPECT_EQ(all[2].share, 1);
}

TEST_P(MapScoresOp, RefuseWhatDoesNotFit) {
  const Tensor map = Tensor::zeros({1, 3, 4}, device());
  EXPECT_THROW(map_scores(Tensor::zeros({3, 4}, device())), Error);
  EXPECT_THROW(map_scores(map, Tensor::zeros({1, 4, 3}, device(), DType::i32)), Error);
  EXPECT_THROW(mask_scores(map, map), Error) << "a mask of f32";
  EXPECT_THROW(mask_scores(map, Tensor::zeros({1, 4, 3}, device(), DType::u8)), Error);
}

}  // namespace
}  // namespace clx::tests
