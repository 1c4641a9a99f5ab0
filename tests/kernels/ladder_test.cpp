// Every rung of the teaching ladder, executed by the emulator, against integer loops.
#include "kernels/ladder.h"

#include <gtest/gtest.h>
#include <ostream>
#include <random>
#include <stdexcept>
#include <string>

#include "tests/kernels/convolved.h"
#include "tests/kernels/whole_numbers.h"

namespace clx::kernels::ladder {

template <class Function>
void PrintTo(const Rung<Function>& rung, std::ostream* out) {
  *out << rung.name;
}

namespace {

using tests::difference;
using tests::EmulatedArray;
using tests::Integers;
using tests::random_integers;

/// One family of rungs, each rung a test.
template <class Function>
class LadderOf : public testing::TestWithParam<Rung<Function>> {
 protected:
  void SetUp() override {
    if (this->GetParam().needs_wgmma && !has_wgmma(device_())) GTEST_SKIP() << "the layer has no wgmma";
  }
  std::mt19937 random_{5};
  tests::EmulatedDevice device_;
};
template <class Function>
std::string rung_name(const testing::TestParamInfo<Rung<Function>>& info) {
  return info.param.name;
}

using LadderMatmul = LadderOf<Matmul<Emulated>>;
TEST_P(LadderMatmul, MatchesIntegerLoops) {
  struct Size {
    int M, N, K;
  };
  // One element past a tile and one short of it, several steps along k, and a single row.
  for (const auto& [M, N, K] : {Size{1, 8, 8}, {64, 64, 64}, {65, 72, 40}, {63, 136, 328}}) {
    const Integers a = random_integers(random_, std::int64_t(M) * K),
                   b = random_integers(random_, std::int64_t(K) * N);
    Integers exact(std::size_t(M) * std::size_t(N));
    for (int m = 0; m < M; ++m)
      for (int k = 0; k < K; ++k)
        for (int n = 0; n < N; ++n)
          exact[std::size_t(m * N + n)] += a[std::size_t(m * K + k)] * b[std::size_t(k * N + n)];
    const EmulatedArray A(a, DType::bf16), B(b, DType::bf16), C(std::int64_t(M) * N, DType::f32);
    GetParam().run(device_(), M, N, K, A.view().as<bf16>(), B.view().as<bf16>(), C.floats());
    EXPECT_EQ(difference(C, exact), "") << M << "×" << N << "×" << K;
  }
}
INSTANTIATE_TEST_SUITE_P(Rungs,
                         LadderMatmul,
                         testing::ValuesIn(kMatmulRungs<Emulated>),
                         rung_name<Matmul<Emulated>>);

TEST(LadderMatmulRefuses, WgmmaWhereThereIsNone) {
  if (has_wgmma(Emulated{})) GTEST_SKIP() << "the layer has wgmma";
  EXPECT_THROW(matmul_6_wgmma(Emulated{}, 8, 8, 8, nullptr, nullptr, nullptr), std::runtime_error);
}

using LadderConv = LadderOf<Conv<Emulated>>;
TEST_P(LadderConv, MatchesIntegerLoops) {
  for (const Conv2dShape& s : {Conv2dShape{1, 1, 1, 8, 1, 1, 1, 1, 0},
                               {2, 6, 5, 8, 20, 3, 3, 1, 1},
                               {1, 9, 12, 16, 65, 3, 2, 2, 1},
                               {1, 5, 5, 40, 3, 5, 5, 3, 4},  // windows wholly in the padding
                               {3, 7, 7, 24, 17, 1, 1, 4, 0}}) {
    const Integers x = random_integers(random_, x_size(s)), w = random_integers(random_, w_size(s));
    const Integers exact = convolved(s, x, w, Integers(std::size_t(y_size(s)))).y;
    const EmulatedArray X(x, DType::bf16), W(w, DType::bf16), Y(y_size(s), DType::f32);
    GetParam().run(device_(), s, X.view().as<bf16>(), W.view().as<bf16>(), Y.floats());
    EXPECT_EQ(difference(Y, exact), "") << name(s);
  }
}
INSTANTIATE_TEST_SUITE_P(Rungs,
                         LadderConv,
                         testing::ValuesIn(kConvRungs<Emulated>),
                         rung_name<Conv<Emulated>>);

using LadderSum = LadderOf<Sum<Emulated>>;
TEST_P(LadderSum, MatchesIntegerLoops) {
  // One number, one past a warp and a block, runs of runs, a rest after whole vectors.
  for (const int n : {1, 33, 257, 1024, 4099, 16 * 256 * 9 + 7, 70'000}) {
    const Integers x = random_integers(random_, n);
    Integers exact(1);
    for (const std::int64_t value : x)
      exact[0] += value;
    const EmulatedArray X(x, DType::f32), Y(1, DType::f32);
    GetParam().run(device_(), n, X.floats(), Y.floats());
    EXPECT_EQ(difference(Y, exact), "") << n;
  }
}
INSTANTIATE_TEST_SUITE_P(Rungs, LadderSum, testing::ValuesIn(kSumRungs<Emulated>), rung_name<Sum<Emulated>>);

}  // namespace
}  // namespace clx::kernels::ladder
