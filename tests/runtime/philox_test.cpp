#include "kernels/philox.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <set>

namespace clx::tests {
namespace {

using Words = std::array<std::uint32_t, 4>;
Words words(Philox4 p) {
  return {p.v[0], p.v[1], p.v[2], p.v[3]};
}

// Source: kat_vectors of the Random123 library, philox4x32 with 10 rounds.
TEST(Philox, HasTheKnownAnswers) {
  EXPECT_EQ(words(philox(0, Philox4{{0, 0, 0, 0}})), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(philox(~std::uint64_t{0}, Philox4{{~0u, ~0u, ~0u, ~0u}})),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(words(philox(0x299f31d0a4093822, Philox4{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}})),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, DrawsDifferentWordsForEverySeedPurposeEpochSampleAndIndex) {
  std::set<Words> seen;
  int draws = 0;
  for (const std::uint64_t seed : {0ull, 1ull, 1ull << 32, 1ull << 63})
    for (const Purpose purpose : {Purpose::init, Purpose::shuffle, Purpose::test})
      for (const std::uint32_t epoch : {0u, 1u, 2u, 0x80000000u})
        for (const std::uint64_t sample : {0ull, 1ull, 1ull << 32, 1ull << 63})
          for (const std::uint32_t index : {0u, 1u, 7u}) {
            seen.insert(words(philox(seed, purpose, epoch, sample, index)));
            ++draws;
          }
  EXPECT_EQ(static_cast<int>(seen.size()), draws);
}

TEST(Philox, Uniform01LiesWithinZeroAndOne) {
  EXPECT_EQ(uniform01(0), 0);
  EXPECT_EQ(uniform01(0xff), 0) << "on the grid of 2⁻²⁴";
  EXPECT_EQ(uniform01(0x100), 0x1p-24f);
  EXPECT_EQ(uniform01(0x80000000), 0.5f);
  EXPECT_LT(uniform01(~0u), 1);
}

TEST(Philox, UniformBelowUsesEveryValueAboutEquallyOften) {
  EXPECT_EQ(uniform_below(~0u, 9), 8u);
  EXPECT_EQ(uniform_below(0, 9), 0u);
  std::array<int, 9> count{};
  for (std::uint64_t i = 0; i < 9000; ++i)
    ++count[uniform_below(philox(1, Purpose::test, 0, i).v[0], 9)];
  for (const int c : count)
    EXPECT_NEAR(c, 1000, 150);  // five standard deviations
}

TEST(Philox, WordsAreUniformWithMeanOneHalf) {
  double sum = 0, squares = 0;
  const int n = 10000;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double u = uniform01(philox(2, Purpose::test, 3, i).v[1]);
    sum += u / n;
    squares += u * u / n;
  }
  EXPECT_NEAR(sum, 0.5, 5 * std::sqrt(1 / 12.0 / n));
  EXPECT_NEAR(squares - sum * sum, 1 / 12.0, 0.005);
}

}  // namespace
}  // namespace clx::tests
