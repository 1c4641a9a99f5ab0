#include "runtime/ops/rank.h"

#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/rank.h"

namespace clx::tests {
namespace {

class Rank : public DeviceTest {
 protected:
  static void check(const Array& maps, const RankOptions& options = {}) {
    SCOPED_TRACE(concat("maps ", maps.shape, ", channels ", options.channels));
    const Tensor ranks = rank_maps(to_tensor(maps, device()), options);
    const std::vector<std::int32_t> expected =
        reference::rank_maps(maps, options.channels, options.magnitude);
    ASSERT_EQ(ranks.size(), static_cast<std::int64_t>(expected.size()));
    const std::vector<std::int32_t> actual = ranks.to_host<std::int32_t>();
    EXPECT_EQ(std::ranges::mismatch(actual, expected).in1, actual.end());
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Rank, every_device(), device_name);

TEST_P(Rank, MatchesAStableSort) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 7}, Shape{2, 1, 17}, Shape{2, 32, 32},
                             Shape{1, 25, 41}, Shape{2, 53, 59}})
    check(uniform(shape, 1));
}

TEST_P(Rank, PutsEqualValuesInRasterOrder) {
  check(integers({3, 13, 17}, 2));
  check(Array({1, 4, 5}));
  check(integers({1, 41, 51}, 3, 1));
}

TEST_P(Rank, OfPlanesPutsEqualValuesInTheirOrder) {
  check(uniform({2, 7, 11}, 3), {.channels = 3});
  check(integers({2, 7, 11}, 4), {.channels = 3});
  check(Array({1, 3, 5}), {.channels = 2});
  check(integers({1, 33, 37}, 5, 2), {.channels = 5});
}

TEST_P(Rank, OfMagnitudes) {
  check(uniform({2, 9, 5}, 6), {.magnitude = true});
  check(integers({1, 9, 5}, 7), {.magnitude = true});
}

TEST_P(Rank, OfSpecialValues) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Array maps({1, 3, 4}, {nan, -0.0, 1e-45, -inf, 0.0, -1, inf, -nan, -1e-45, 3e38, 0, -0.0});
  check(maps);
  check(maps, {.magnitude = true});
  check(maps, {.channels = 2});
}

TEST_P(Rank, RefusesWhatIsNotAMap) {
  EXPECT_THROW(rank_maps(Tensor::zeros({3, 4}, device())), Error);
  EXPECT_THROW(rank_maps(Tensor::zeros({0, 3, 4}, device())), Error);
  EXPECT_THROW(rank_maps(Tensor::zeros({1, 3, 4}, device(), DType::i32)), Error);
  EXPECT_THROW(rank_maps(Tensor::zeros({1, 3, 4}, device()), {.channels = 0}), Error);
}

}  // namespace
}  // namespace clx::tests
