// Winograd's convolution against plain loops in double. Its results are not exact on small integers: the
// transforms multiply by fractions such as 0.390625 whose products do not all fit into f32.
#include <algorithm>
#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "kernels/cpu/winograd.h"
#include "tests/kernels/convolved.h"
#include "tests/kernels/numbers.h"

namespace clx::kernels {
namespace {

constexpr Conv2dAlgorithm kWinograd = Conv2dAlgorithm::winograd;
const Conv2dShape kShapes[] = {
    {1, 8, 8, 16, 16, 3, 3, 1, 1, kWinograd},    // whole tiles
    {2, 7, 7, 32, 16, 3, 3, 1, 1, kWinograd},    // tiles over the lower and right edge
    {1, 14, 14, 16, 48, 3, 3, 1, 1, kWinograd},  // a panel that is not full
    {3, 1, 1, 16, 32, 3, 3, 1, 1, kWinograd},    // one pixel
    {2, 5, 3, 48, 80, 3, 3, 1, 1, kWinograd},    // a full panel and a rest
    {2, 6, 9, 16, 16, 3, 3, 1, 0, kWinograd},    {1, 3, 10, 32, 32, 3, 3, 1, 2, kWinograd},
    {1, 3, 3, 16, 16, 3, 3, 1, 0, kWinograd},     // one output
    {1, 4, 4, 272, 64, 3, 3, 1, 1, kWinograd},    // sums of more than one block of channels
    {29, 11, 13, 16, 32, 3, 3, 1, 1, kWinograd},  // several chunks, several groups
    {131, 4, 4, 16, 16, 3, 3, 1, 1, kWinograd},   // and a rest of one tile
};

struct Operands {
  Numbers x, w, dy, y, dx, dw;
  Operands(const Conv2dShape& s,
           const Doubles& from_x,
           const Doubles& from_w,
           const Doubles& from_dy,
           DType dtype = DType::f32)
      : x(dtype, from_x),
        w(dtype, from_w),
        dy(dtype, from_dy),
        y(dtype, from_dy.size()),
        dx(dtype, from_x.size()),
        dw(DType::f32, from_w.size()) {
    test::ScratchCpu cpu;
    conv2d_forward(cpu(), s, Math::f32, x.view(), w.view(), {}, y.view());
    conv2d_backward_data(cpu(), s, Math::f32, dy.view(), w.view(), dx.view());
    conv2d_backward_weight(cpu(), s, Math::f32, x.view(), dy.view(), dw.floats());
  }
};

struct Sizes {
  std::size_t x, y, w;
  explicit Sizes(const Conv2dShape& s)
      : x(std::size_t(s.N) * s.H * s.W * s.C),
        y(std::size_t(s.N) * s.P() * s.Q() * s.K),
        w(std::size_t(s.K) * s.R * s.S * s.C) {}
};

TEST(CpuWinograd, MatchesDoubleLoopsOnRealNumbers) {
  for (const Conv2dShape& s : kShapes) {
    ASSERT_TRUE(winograd_computes(s, DType::f32) && winograd_computes_weight(s, DType::f32)) << name(s);
    const Sizes n(s);
    Operands o(s, normal(n.x, 1), normal(n.w, 2, 0, 0.1), normal(n.y, 3));
    const Convolved expected = convolved(s, o.x.values(), o.w.values(), o.dy.values());
    // Of the largest result: transforms add what the results' sums cancel. 1e-5 is what is promised.
    expect_near_sums(o.y.values(), expected.y, 3e-6, "y " + name(s));
    expect_near_sums(o.dx.values(), expected.dx, 3e-6, "dx " + name(s));
    expect_near_sums(o.dw.values(), expected.dw, 3e-6, "dw " + name(s));
  }
}

double root_mean_square(const Doubles& values) {
  double sum = 0;
  for (const double v : values)
    sum += v * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}
// The root mean square of the errors, in parts of that of what was expected.
double relative_error(const Doubles& got, const Doubles& expected) {
  Doubles errors(got.size());
  std::ranges::transform(got, expected, errors.begin(), std::minus());
  return root_mean_square(errors) / root_mean_square(expected);
}

// Rounding exact results to bf16 gives 0.0017 at most, and 0.0012 in the mean over all sizes.
TEST(CpuWinograd, Bf16ErrorsAreAboutThoseOfRounding) {
  for (const Conv2dShape& s : kShapes) {
    const Sizes n(s);
    Operands o(s, normal(n.x, 1), normal(n.w, 2, 0, 0.1), normal(n.y, 3), DType::bf16);
    const Convolved expected = convolved(s, o.x.values(), o.w.values(), o.dy.values());
    EXPECT_LT(relative_error(o.y.values(), expected.y), 0.0025) << name(s);
    EXPECT_LT(relative_error(o.dx.values(), expected.dx), 0.0025) << name(s);
    expect_near_sums(o.y.values(), expected.y, 0x1p-8, "y " + name(s));
    expect_near_sums(o.dx.values(), expected.dx, 0x1p-8, "dx " + name(s));
  }
}

TEST(CpuWinograd, Bf16WeightGradientsAreSumsInF32) {
  for (const Conv2dShape& s : {kShapes[1], kShapes[4], kShapes[8]}) {
    const Sizes n(s);
    Operands o(s, normal(n.x, 1), normal(n.w, 2, 0, 0.1), normal(n.y, 3), DType::bf16);
    const Convolved expected = convolved(s, o.x.values(), o.w.values(), o.dy.values());
    expect_near_sums(o.dw.values(), expected.dw, 3e-6, name(s));
  }
}

// Signs of the inputs such that each row of Bᵀ adds them all up, and of the filters alike: at one point each
// integer is the largest that there is, and the sum of their products comes near 2³¹.
TEST(CpuWinograd, Bf16SumsDoNotOverflow) {
  const Conv2dShape s{1, 8, 8, 64, 16, 3, 3, 1, 0, kWinograd};  // one tile and some
  const Sizes n(s);
  const double signs[2][6] = {{1, 1, -1, 1, 1, 1}, {1, -1, -1, 1, 1, 1}};  // of the first and the other rows
  for (const int row : {0, 1})
    for (const double scale : {1.0, 0x1p-90, 0x1p60}) {
      Doubles x(n.x), w(n.w);
      for (std::size_t i = 0; i < n.x; ++i) {
        const std::size_t pixel = i / 64, h = pixel / 8, q = pixel % 8;
        x[i] = scale * signs[row][h % 6] * signs[row][q % 6];
      }
      for (std::size_t i = 0; i < n.w; ++i) {
        const std::size_t tap = i / 64 % 9;
        w[i] = row == 0 ? tap == 0 : 1;
      }
      Operands o(s, x, w, Doubles(n.y), DType::bf16);
      expect_near_sums(o.y.values(), convolved(s, x, w, Doubles(n.y)).y, 0x1p-8,
                       "row " + std::to_string(row));
    }
}

// Small channels keep their bits beside large ones, each block of 64 having a unit of its own.
TEST(CpuWinograd, Bf16BlocksOfChannelsHaveTheirOwnUnits) {
  const Conv2dShape s{1, 8, 8, 128, 16, 3, 3, 1, 1, kWinograd};
  const Sizes n(s);
  Doubles x = normal(n.x, 1), w = normal(n.w, 2);
  for (std::size_t i = 0; i < n.x; ++i)
    x[i] *= i % 128 < 64 ? 1e6 : 1;
  for (std::size_t i = 0; i < n.w; ++i)
    w[i] *= i % 128 < 64 ? 1e-6 : 1;
  Operands o(s, x, w, Doubles(n.y), DType::bf16);
  const Convolved expected = convolved(s, o.x.values(), o.w.values(), Doubles(n.y));
  EXPECT_LT(relative_error(o.y.values(), expected.y), 0.0025);
}

TEST(CpuWinograd, Bf16ZerosGiveZerosAndNoFiniteResultHidesAnInfinity) {
  const Conv2dShape s{2, 4, 4, 128, 32, 3, 3, 1, 1, kWinograd};  // one tile an image
  const Sizes n(s);
  const Doubles zeros(n.x), ones(n.x, 1.0), filters = normal(n.w, 2);
  for (const double y : Operands(s, zeros, filters, Doubles(n.y), DType::bf16).y.values())
    EXPECT_EQ(y, 0);
  for (const double y : Operands(s, ones, Doubles(n.w), Doubles(n.y), DType::bf16).y.values())
    EXPECT_EQ(y, 0);
  for (const double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    Doubles x = ones, w = filters;
    x[5 * 128 + 100] = bad;
    const Doubles of_x = Operands(s, x, filters, Doubles(n.y), DType::bf16).y.values();
    for (std::size_t i = 0; i < n.y; ++i)
      EXPECT_EQ(std::isfinite(of_x[i]), i >= n.y / 2) << "another image's results alone are finite";
    w[3 * 9 * 128 + 100] = bad;
    const Doubles of_w = Operands(s, ones, w, Doubles(n.y), DType::bf16).y.values();
    for (std::size_t i = 0; i < n.y; ++i)
      EXPECT_EQ(std::isfinite(of_w[i]), i % 32 != 3) << "the other filters' results alone are finite";
  }
}

TEST(CpuWinograd, IsNearlyExactOnSmallIntegers) {
  for (const Conv2dShape& s : kShapes) {
    const Sizes n(s);
    Operands o(s, integers(n.x, 1, 7), integers(n.w, 2, 7), integers(n.y, 3, 7));
    const Convolved expected = convolved(s, o.x.values(), o.w.values(), o.dy.values());
    expect_near_sums(o.y.values(), expected.y, 3e-6, "y " + name(s));
    expect_near_sums(o.dx.values(), expected.dx, 3e-6, "dx " + name(s));
    expect_near_sums(o.dw.values(), expected.dw, 3e-6, "dw " + name(s));
  }
}

TEST(CpuWinograd, AddsBiasAndResidualBeforeRelu) {
  test::ScratchCpu cpu;
  for (const Conv2dShape& s : {kShapes[1], kShapes[4]})
    for (int parts = 1; parts < 8; ++parts) {
      const Sizes n(s);
      const auto K = static_cast<std::size_t>(s.K);
      Numbers X(DType::f32, normal(n.x, 1)), W(DType::f32, normal(n.w, 2, 0, 0.1));
      Numbers R(DType::f32, normal(n.y, 4)), B(DType::f32, normal(K, 5)), Y(DType::f32, n.y);
      Conv2dEpilogue epilogue;
      if (parts & 1) epilogue.bias = B.floats();
      if (parts & 2) epilogue.residual = R.view();
      epilogue.relu = parts & 4;
      conv2d_forward(cpu(), s, Math::f32, X.view(), W.view(), epilogue, Y.view());
      Doubles y = convolved(s, X.values(), W.values(), Doubles(n.y)).y;
      const Doubles bias = B.values(), residual = R.values();
      for (std::size_t i = 0; i < n.y; ++i) {
        if (parts & 1) y[i] += bias[i % K];
        if (parts & 2) y[i] += residual[i];
        if (parts & 4) y[i] = std::max(0.0, y[i]);
      }
      expect_near_sums(Y.values(), y, 3e-6, "parts " + std::to_string(parts) + " " + name(s));
    }
}

TEST(CpuWinograd, AddsItsDataGradientToThoseOfOtherUses) {
  test::ScratchCpu cpu;
  for (const Conv2dShape& s : kShapes) {
    const Sizes n(s);
    Numbers W(DType::f32, normal(n.w, 2, 0, 0.1)), DY(DType::f32, normal(n.y, 3));
    Numbers Others(DType::f32, normal(n.x, 4)), DX(DType::f32, n.x);
    conv2d_backward_data(cpu(), s, Math::f32, DY.view(), W.view(), DX.view(), Others.view());
    Doubles dx = convolved(s, Doubles(n.x), W.values(), DY.values()).dx;
    const Doubles others = Others.values();
    for (std::size_t i = 0; i < n.x; ++i)
      dx[i] += others[i];
    expect_near_sums(DX.values(), dx, 3e-6, name(s));
  }
}

TEST(CpuWinograd, PreparedFiltersGiveTheSameBits) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Conv2dShape s{2, 9, 6, 32, 48, 3, 3, 1, 1, Conv2dAlgorithm::winograd};
    const Sizes n(s);
    test::ScratchCpu cpu;
    Numbers x(dtype, normal(n.x, 1)), w(dtype, normal(n.w, 2)), nothing(dtype, n.w);
    Numbers plain(dtype, n.y), y(dtype, n.y);
    std::vector<char> prepared(conv2d_prepared_bytes(cpu(), s, dtype));
    EXPECT_EQ(prepared.size(), dtype == DType::f32 ? 36u * 32 * 48 * 4 : 36u * 32 * 48 * 2 + 36 * 48 * 4);
    conv2d_prepare(cpu(), s, w.view(), prepared.data());
    conv2d_forward(cpu(), s, Math::f32, x.view(), w.view(), {}, plain.view());
    s.N = 1;  // of another batch
    conv2d_forward(cpu(), s, Math::f32, x.view(), nothing.view(), {}, y.view(), prepared.data());
    const Doubles expected = plain.values(), got = y.values();
    EXPECT_TRUE(
        std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(n.y / 2), expected.begin()));
    s.algorithm = Conv2dAlgorithm::direct;
    EXPECT_EQ(conv2d_prepared_bytes(cpu(), s, dtype), 0u);
  }
}

TEST(CpuWinograd, IsChosenByTheSizesOfAnImageAlone) {
  const auto chosen = [](const Conv2dShape& s) {
    Conv2dShape other = s;
    other.N = 1000;
    EXPECT_EQ(winograd_computes(s, DType::f32), winograd_computes(other, DType::f32)) << name(s);
    return winograd_computes(s, DType::f32);
  };
  for (const int side : {4, 7, 8, 14, 16, 28, 32, 56})
    EXPECT_TRUE(chosen({1, side, side, 64, 64, 3, 3, 1, 1})) << side;
  EXPECT_FALSE(chosen({1, 1, 1, 64, 64, 3, 3, 1, 1})) << "one pixel of a tile";
  EXPECT_FALSE(chosen({1, 2, 2, 64, 64, 3, 3, 1, 1})) << "a quarter of a tile";
  EXPECT_FALSE(chosen({1, 32, 32, 3, 64, 3, 3, 1, 1})) << "three channels";
  EXPECT_FALSE(chosen({1, 32, 32, 76, 76, 3, 3, 1, 1})) << "channels that fill no whole vectors";
  EXPECT_FALSE(chosen({1, 32, 32, 64, 64, 3, 3, 2, 1})) << "stride 2";
  EXPECT_FALSE(chosen({1, 32, 32, 64, 64, 5, 5, 1, 2})) << "5×5";
  EXPECT_FALSE(chosen({1, 32, 32, 64, 64, 3, 3, 1, 1, Conv2dAlgorithm::direct}));
}

}  // namespace
}  // namespace clx::kernels
