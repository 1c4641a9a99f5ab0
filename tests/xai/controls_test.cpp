// Controls, and what is said of maps.
#include "xai/explain/controls.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "runtime/check.h"
#include "xai/explain/map_flags.h"

namespace clx::xai {
namespace {

TEST(RandomMaps, DependOnSeedAndSampleOnly) {
  const Tensor both = random_maps({3, 8}, 5, 7, 1), one = random_maps({8}, 5, 7, 1),
               other = random_maps({8}, 5, 7, 2);
  EXPECT_EQ(both.slice(1, 2).to_host(), one.to_host());
  EXPECT_NE(one.to_host(), other.to_host());
  EXPECT_THROW(random_maps({}, 5, 7, 1), Error);
}

TEST(InvertedMaps, SayTheOppositeOrNothing) {
  const Tensor maps = Tensor::from_host({2, 1, 3}, std::vector<float>{0, 0.25f, 1, 0, 0, 0});
  EXPECT_EQ(inverted_maps(maps).to_host(), (std::vector<float>{1, 0.75f, 0, 0, 0, 0}));
  EXPECT_THROW(inverted_maps(Tensor({2, 3})), Error);
}

TEST(MapFlags, SayWhichMapsShowTheBackground) {
  // Activity 1, 2, 9 over two channels.
  const std::vector<float> a{1, 0, 1, 1, 4, 5};
  Tensor activation({3, 1, 3, 2});
  for (int n = 0; n < 3; ++n)
    std::copy(a.begin(), a.end(), activation.mutable_data() + 6 * n);
  const Tensor raw = Tensor::from_host({3, 1, 3}, std::vector<float>{0, 0, 1, 0, 0, -1, 5, 5, 5});
  EXPECT_EQ(opposes_activation(raw, activation), (std::vector<std::uint8_t>{0, 1, 0}));
  EXPECT_THROW(opposes_activation(raw, Tensor({3, 1, 2, 2})), Error);
}

}  // namespace
}  // namespace clx::xai
