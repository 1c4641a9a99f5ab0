// The matrix product's CUDA kernels and the column sum, executed by the emulator, against integer loops.
#include <gtest/gtest.h>
#include <random>
#include <sstream>
#include <string>

#include "kernels/matmul.h"
#include "tests/kernels/whole_numbers.h"

namespace clx::tests {
namespace {

using kernels::Math;
using kernels::MatmulShape;

class MatmulKernel : public testing::Test {
 protected:
  void expect_product(const MatmulShape& s, DType dtype, Math math, bool with_bias, int offset = 0) {
    const Integers a = random_integers(random_, std::int64_t(s.M) * s.K);
    const Integers b = random_integers(random_, std::int64_t(s.K) * s.N);
    const Integers bias = random_integers(random_, s.N, 50);
    const auto size = [](int extent) { return static_cast<std::size_t>(extent); };
    Integers exact(size(s.M) * size(s.N));
    for (std::size_t m = 0; m < size(s.M); ++m)
      for (std::size_t n = 0; n < size(s.N); ++n) {
        std::int64_t sum = with_bias ? bias[n] : 0;
        for (std::size_t k = 0; k < size(s.K); ++k)
          sum += a[s.transpose_a ? k * size(s.M) + m : m * size(s.K) + k] *
                 b[s.transpose_b ? n * size(s.K) + k : k * size(s.N) + n];
        exact[m * size(s.N) + n] = sum;
      }
    const EmulatedArray A(a, dtype, offset), B(b, dtype, offset), Bias(bias, DType::f32);
    const EmulatedArray C(std::int64_t(s.M) * s.N, DType::f32, offset);
    matmul(device_(), s, math, A.view(), B.view(), with_bias ? Bias.floats() : nullptr, C.floats());
    std::ostringstream text;
    text << name_of(dtype) << (math == Math::tf32 ? " tf32 " : " ") << s.M << "×" << s.N << "×" << s.K
         << (s.transpose_a ? " A'" : "") << (s.transpose_b ? " B'" : "");
    EXPECT_EQ(difference(C, exact), "") << text.str();
  }

  void expect_products(DType dtype, Math math) {
    const auto extent = [&](int largest) { return std::uniform_int_distribution<int>(1, largest)(random_); };
    for (int i = 0; i < 64 && !HasFailure(); ++i) {
      MatmulShape s{extent(150), extent(150), extent(100), (i & 1) != 0, (i & 2) != 0};
      expect_product(s, dtype, math, i % 3 == 0);
      s.M = (s.M + 7) / 8 * 8, s.N = (s.N + 7) / 8 * 8, s.K = (s.K + 7) / 8 * 8;  // by chunks of 16 bytes
      expect_product(s, dtype, math, i % 3 == 1);
    }
    for (int i = 0; i < 4; ++i) {
      expect_product({64, 128, 64, (i & 1) != 0, (i & 2) != 0}, dtype, math, true);  // whole tiles
      expect_product({16, 24, 40, (i & 1) != 0, (i & 2) != 0}, dtype, math, false, 1);
    }
  }

  std::mt19937 random_{7};
  EmulatedDevice device_;
};

TEST_F(MatmulKernel, MatchesIntegerLoopsInF32) {
  expect_products(DType::f32, Math::f32);
}

TEST_F(MatmulKernel, MatchesIntegerLoopsInTf32) {
  expect_products(DType::f32, Math::tf32);
}

TEST_F(MatmulKernel, MatchesIntegerLoopsInBf16) {
  expect_products(DType::bf16, Math::f32);
}

TEST_F(MatmulKernel, RoundsFactorsToTf32OnlyWhereAsked) {
  EmulatedArray a(Integers(4, 0), DType::f32), b(Integers(4, 1), DType::f32);
  a.set(3, 1.f + 0x1p-12f);
  const EmulatedArray c(1, DType::f32);
  for (const bool transpose : {false, true}) {
    const MatmulShape s{1, 1, 4, transpose, transpose};
    matmul(device_(), s, Math::f32, a.view(), b.view(), nullptr, c.floats());
    EXPECT_EQ(c.values()[0], 1.f + 0x1p-12f);
    matmul(device_(), s, Math::tf32, a.view(), b.view(), nullptr, c.floats());
    EXPECT_EQ(c.values()[0], 1.f);
  }
}

TEST_F(MatmulKernel, SumsColumns) {
  for (const int rows : {1, 2, 7, 8, 9, 64, 129}) {
    for (const int cols : {1, 10, 31, 32, 33, 100}) {
      const Integers x = random_integers(random_, std::int64_t(rows) * cols, 100);
      Integers exact(static_cast<std::size_t>(cols));
      for (std::size_t i = 0; i < x.size(); ++i)
        exact[i % static_cast<std::size_t>(cols)] += x[i];
      const EmulatedArray X(x, DType::f32), Y(cols, DType::f32);
      kernels::column_sum(device_(), rows, cols, X.floats(), Y.floats());
      EXPECT_EQ(difference(Y, exact), "") << rows << "×" << cols;
    }
  }
}

}  // namespace
}  // namespace clx::tests
