// The convolutions' CUDA kernels, executed by the emulator, against integer loops.
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <sstream>
#include <string>

#include "kernels/batchnorm.h"
#include "kernels/conv2d.h"
#include "kernels/cuda/conv2d_wgmma.h"
#include "kernels/cuda/emulator/config.h"
#include "tests/kernels/convolved.h"
#include "tests/kernels/whole_numbers.h"

namespace clx::tests {
namespace {

using kernels::Conv2dEpilogue;
using kernels::Conv2dShape;
using kernels::for_each_product;
using kernels::Math;
using kernels::w_size;
using kernels::x_size;
using kernels::y_size;

/// How products are formed: each a kernel family of its own.
struct Precision {
  DType dtype;
  Math math;
  const char* name;
};
constexpr Precision kF32{DType::f32, Math::f32, "f32"}, kTf32{DType::f32, Math::tf32, "tf32"},
    kBf16{DType::bf16, Math::f32, "bf16"};
constexpr Precision kPrecisions[] = {kF32, kTf32, kBf16};

std::string describe(const Conv2dShape& s, const Precision& precision) {
  std::ostringstream text;
  text << precision.name << " x(" << s.N << "," << s.H << "," << s.W << "," << s.C << ") w(" << s.K << ","
       << s.R << "," << s.S << ") stride " << s.stride << " padding " << s.padding;
  return text.str();
}

struct Epilogue {
  bool bias = false, residual = false, relu = false;
};

class Conv2dKernel : public testing::Test {
 protected:
  /// `offset`: elements by which inputs and outputs miss their alignment.
  void expect_forward(const Conv2dShape& s,
                      const Precision& precision,
                      Epilogue epilogue = {},
                      int offset = 0) {
    const Integers x = random_integers(random_, x_size(s)), w = random_integers(random_, w_size(s));
    const Integers bias = random_integers(random_, s.K, 20),
                   residual = random_integers(random_, y_size(s), 20);
    Integers exact(y_size(s));
    for_each_product(s, [&](std::size_t i, std::size_t j, std::size_t o) { exact[o] += x[i] * w[j]; });
    for (std::size_t o = 0; o < exact.size(); ++o) {
      if (epilogue.bias) exact[o] += bias[o % std::size_t(s.K)];
      if (epilogue.residual) exact[o] += residual[o];
      if (epilogue.relu) exact[o] = std::max<std::int64_t>(exact[o], 0);
    }
    const EmulatedArray X(x, precision.dtype, offset), W(w, precision.dtype, offset);
    const EmulatedArray Bias(bias, DType::f32), Residual(residual, precision.dtype, offset);
    const EmulatedArray Y(y_size(s), precision.dtype, offset);
    Conv2dEpilogue e;
    if (epilogue.bias) e.bias = Bias.floats();
    if (epilogue.residual) e.residual = Residual.view();
    e.relu = epilogue.relu;
    kernels::conv2d_forward(device_(), s, precision.math, X.view(), W.view(), e, Y.view());
    EXPECT_EQ(difference(Y, exact), "") << "forward " << describe(s, precision);
  }

  /// Every second time with gradients of other uses to be added to.
  void expect_backward_data(const Conv2dShape& s, const Precision& precision, int offset = 0) {
    const Integers dy = random_integers(random_, y_size(s)), w = random_integers(random_, w_size(s)),
                   others = random_integers(random_, x_size(s), 20);
    with_others_ = !with_others_;
    Integers exact = with_others_ ? others : Integers(x_size(s));
    for_each_product(s, [&](std::size_t i, std::size_t j, std::size_t o) { exact[i] += dy[o] * w[j]; });
    const EmulatedArray Dy(dy, precision.dtype, offset), W(w, precision.dtype, offset);
    const EmulatedArray Others(others, precision.dtype, offset), Dx(x_size(s), precision.dtype, offset);
    kernels::conv2d_backward_data(device_(), s, precision.math, Dy.view(), W.view(), Dx.view(),
                                  with_others_ ? Others.view() : ConstView{});
    EXPECT_EQ(difference(Dx, exact), "")
        << "backward_data " << (with_others_ ? "and others " : "") << describe(s, precision);
  }

  void expect_backward_weight(const Conv2dShape& s, const Precision& precision, int offset = 0) {
    const Integers x = random_integers(random_, x_size(s)), dy = random_integers(random_, y_size(s));
    Integers exact(w_size(s));
    for_each_product(s, [&](std::size_t i, std::size_t j, std::size_t o) { exact[j] += x[i] * dy[o]; });
    const EmulatedArray X(x, precision.dtype, offset), Dy(dy, precision.dtype, offset);
    const EmulatedArray Dw(w_size(s), DType::f32, offset);
    kernels::conv2d_backward_weight(device_(), s, precision.math, X.view(), Dy.view(), Dw.floats());
    EXPECT_EQ(difference(Dw, exact), "") << "backward_weight " << describe(s, precision);
  }

  void expect_all(const Conv2dShape& s, const Precision& precision, int offset = 0) {
    expect_forward(s, precision, {}, offset);
    expect_backward_data(s, precision, offset);
    expect_backward_weight(s, precision, offset);
  }

  /// Numbers whose sums are rounded.
  std::vector<float> thirds(std::int64_t size) {
    std::vector<float> values;
    for (const std::int64_t i : random_integers(random_, size, 1000))
      values.push_back(static_cast<float>(i) / 3.f);
    return values;
  }

  int pick(std::initializer_list<int> values) {
    return values.begin()[std::uniform_int_distribution<std::size_t>(0, values.size() - 1)(random_)];
  }

  /// Any geometry: more filters than pixels, padding wider than the filter, strides that skip the filter.
  Conv2dShape random_shape(std::initializer_list<int> channels) {
    Conv2dShape s;
    s.N = pick({1, 2, 3});
    s.C = pick(channels), s.K = pick(channels);
    s.R = pick({1, 2, 3, 3, 5}), s.S = pick({1, 2, 3, 3, 4});
    s.stride = pick({1, 1, 2, 3}), s.padding = pick({0, 1, 2});
    s.H = std::max(pick({1, 2, 4, 5, 7, 8, 9}), s.R - 2 * s.padding);
    s.W = std::max(pick({1, 2, 3, 6, 7, 8, 10}), s.S - 2 * s.padding);
    return s;
  }

  void expect_random_shapes(const Precision& precision, int count) {
    for (int i = 0; i < count && !HasFailure(); ++i)
      expect_all(random_shape({1, 2, 3, 5, 8, 12, 16, 24, 40}), precision);
    for (int i = 0; i < count && !HasFailure(); ++i)  // by chunks of 16 bytes
      expect_all(random_shape({8, 16, 24, 72}), precision);
  }

  std::mt19937 random_{2024};
  bool with_others_ = false;
  EmulatedDevice device_;
};

TEST_F(Conv2dKernel, MatchesIntegerLoopsInF32) {
  expect_random_shapes(kF32, 50);
}

TEST_F(Conv2dKernel, MatchesIntegerLoopsInTf32) {
  expect_random_shapes(kTf32, 50);
}

TEST_F(Conv2dKernel, MatchesIntegerLoopsInBf16) {
  expect_random_shapes(kBf16, 50);
}

TEST_F(Conv2dKernel, AddsBiasAndResidualBeforeReLU) {
  for (const Precision& precision : kPrecisions) {
    for (int parts = 0; parts < 8; ++parts) {
      const Epilogue epilogue{(parts & 1) != 0, (parts & 2) != 0, (parts & 4) != 0};
      expect_forward({2, 5, 6, 8, 24, 3, 3, 1, 1}, precision, epilogue);  // pairs of results
      expect_forward({1, 5, 6, 3, 7, 3, 3, 2, 1}, precision, epilogue);   // single ones
    }
  }
}

TEST_F(Conv2dKernel, TakesFirstLayersOfThreeChannels) {
  for (const Precision& precision : kPrecisions) {
    expect_all({2, 11, 9, 3, 64, 3, 3, 1, 1}, precision);
    expect_all({1, 23, 17, 3, 40, 7, 7, 2, 3}, precision);
  }
}

TEST_F(Conv2dKernel, TakesMemoryThatIsNotAligned) {
  for (const Precision& precision : kPrecisions)
    expect_all({2, 6, 5, 16, 24, 3, 3, 1, 1}, precision, 1);
}

TEST_F(Conv2dKernel, LeavesZerosWhereNoFilterTouchesTheImage) {
  for (const Precision& precision : kPrecisions)
    for (int twice = 0; twice < 2; ++twice)
      expect_all({1, 9, 10, 8, 16, 1, 2, 4, 0}, precision);
}

// Results of at least 128 large tiles, one row past or short of a tile, take the kernels with large tiles.
TEST_F(Conv2dKernel, MatchesWithLargeTiles) {
  for (const Precision& precision : kPrecisions) {
    expect_forward({1, 127, 129, 40, 72, 1, 1, 1, 0}, precision);
    expect_backward_data({1, 127, 129, 72, 40, 1, 1, 1, 0}, precision);
    expect_backward_data({1, 130, 131, 72, 8, 3, 3, 2, 1}, precision);
  }
}

TEST_F(Conv2dKernel, MatchesWithTallTiles) {
  for (const Precision& precision : {kTf32, kBf16}) {
    expect_forward({2, 91, 91, 8, 24, 3, 3, 1, 1}, precision);
    expect_backward_data({2, 91, 91, 24, 8, 3, 3, 1, 1}, precision);
  }
}

TEST_F(Conv2dKernel, AddsUpTheRunsOfTheWeightGradient) {
  for (const Precision& precision : kPrecisions) {
    expect_backward_weight({2, 25, 24, 24, 72, 3, 3, 1, 1}, precision);  // large tiles
    expect_backward_weight({3, 25, 24, 8, 16, 2, 3, 1, 1}, precision);   // small tiles
    expect_backward_weight({3, 49, 24, 16, 8, 2, 3, 2, 1}, precision);
  }
}

TEST_F(Conv2dKernel, RoundsFactorsToTf32OnlyWhereAsked) {
  const Conv2dShape s{1, 1, 1, 8, 8, 1, 1, 1, 0};
  EmulatedArray x(Integers(8, 0), DType::f32), w(Integers(64, 1), DType::f32);
  x.set(0, 1.f + 0x1p-12f);
  const EmulatedArray y(8, DType::f32);
  conv2d_forward(device_(), s, Math::f32, x.view(), w.view(), {}, y.view());
  EXPECT_EQ(y.values(), std::vector<float>(8, 1.f + 0x1p-12f));
  conv2d_forward(device_(), s, Math::tf32, x.view(), w.view(), {}, y.view());
  EXPECT_EQ(y.values(), std::vector<float>(8, 1.f));
}

// An image's result does not depend on its batch, although the batch chooses the tile.
TEST_F(Conv2dKernel, GivesAnImageTheSameBitsInAnyBatch) {
  Conv2dShape s{65, 16, 16, 16, 72, 1, 1, 1, 0};
  for (const Precision& precision : kPrecisions) {
    const EmulatedArray x(thirds(x_size(s)), precision.dtype), w(thirds(w_size(s)), precision.dtype);
    const EmulatedArray batch(y_size(s), precision.dtype);
    kernels::conv2d_forward(device_(), s, precision.math, x.view(), w.view(), {}, batch.view());
    Conv2dShape one = s;
    one.N = 1;
    const EmulatedArray alone(y_size(one), precision.dtype);
    kernels::conv2d_forward(device_(), one, precision.math, x.view(), w.view(), {}, alone.view());
    std::vector<float> first = batch.values();
    first.resize(std::size_t(y_size(one)));
    EXPECT_EQ(first, alone.values()) << precision.name;
  }
}

TEST_F(Conv2dKernel, AddsUpTheRunsInTheirOrderWhateverThatOfTheBlocks) {
  const emulator::Config before = emulator::config();
  for (const Precision& precision : kPrecisions)
    for (const Conv2dShape& s :
         {Conv2dShape{3, 25, 24, 8, 16, 2, 3, 1, 1}, Conv2dShape{3, 27, 29, 64, 64, 1, 1, 1, 0}}) {
      const EmulatedArray x(thirds(x_size(s)), precision.dtype), dy(thirds(y_size(s)), precision.dtype);
      std::vector<std::vector<float>> results;
      for (const emulator::Order order :
           {emulator::Order::forward, emulator::Order::reverse, emulator::Order::random}) {
        emulator::Config config = before;
        config.order = order;
        emulator::set_config(config);
        const EmulatedArray dw(w_size(s), DType::f32);
        kernels::conv2d_backward_weight(device_(), s, precision.math, x.view(), dy.view(), dw.floats());
        results.push_back(dw.values());
      }
      EXPECT_EQ(results[0], results[1]) << describe(s, precision);
      EXPECT_EQ(results[0], results[2]) << describe(s, precision);
    }
  emulator::set_config(before);
}

/// By TMA and wgmma, which conv2d.h chooses on H100: their grids, tiles and rings of stages.
class Conv2dWgmma : public Conv2dKernel {
 protected:
  void SetUp() override {
    if (kernels::compute_capability(Emulated{}) != 90) GTEST_SKIP() << "the layer is that of an older GPU";
  }
  bool takes(const Conv2dShape& s, int offset = 0) {
    const EmulatedArray memory(8, DType::bf16, offset);
    return kernels::takes_wgmma(Emulated{}, s, {memory.data(), nullptr});
  }
};

TEST_F(Conv2dWgmma, TakesManyChannelsInAlignedMemory) {
  EXPECT_TRUE(takes({1, 4, 4, 64, 128, 3, 3, 1, 1}));
  EXPECT_TRUE(takes({1, 4, 4, 128, 64, 1, 1, 2, 0}));
  EXPECT_FALSE(takes({1, 4, 4, 32, 64, 3, 3, 1, 1}));
  EXPECT_FALSE(takes({1, 4, 4, 64, 96, 3, 3, 1, 1}));
  EXPECT_FALSE(takes({1, 4, 4, 64, 64, 3, 3, 3, 1}));
  EXPECT_FALSE(takes({1, 4, 4, 64, 64, 3, 3, 1, 1}, 1));
}

TEST_F(Conv2dWgmma, ForwardMatchesIntegerLoops) {
  expect_forward({1, 8, 16, 64, 64, 3, 3, 1, 1}, kBf16);  // one full tile, twice around the ring of stages
  expect_forward({3, 5, 9, 64, 128, 3, 3, 1, 1}, kBf16);  // tiles that stick out of the images
  expect_forward({9, 4, 4, 64, 192, 2, 3, 1, 1}, kBf16);  // boxes of several images, several tiles of filters
  expect_forward({2, 9, 11, 128, 64, 1, 1, 1, 0}, kBf16);  // rows of pixels
  expect_forward({2, 9, 11, 64, 64, 1, 1, 1, 1}, kBf16);
  expect_forward({2, 11, 10, 64, 64, 3, 3, 2, 1}, kBf16);  // every second pixel
}

TEST_F(Conv2dWgmma, AddsBiasAndResidualBeforeReLU) {
  for (int parts = 0; parts < 8; ++parts)
    expect_forward({1, 5, 7, 64, 64, 1, 1, 1, 0}, kBf16,
                   {(parts & 1) != 0, (parts & 2) != 0, (parts & 4) != 0});
}

// Against double sums over the results as they are stored.
TEST_F(Conv2dWgmma, GivesTheMomentsOfItsResults) {
  for (const Conv2dShape& s : {Conv2dShape{1, 8, 16, 64, 64, 3, 3, 1, 1},  // one full tile
                               {3, 5, 9, 64, 128, 3, 3, 1, 1},             // tiles that stick out
                               {9, 4, 4, 64, 192, 1, 1, 1, 0},
                               {2, 11, 10, 64, 64, 3, 3, 2, 1},
                               {20, 16, 17, 64, 64, 1, 1, 1, 0}}) {
    const EmulatedArray X(thirds(x_size(s)), DType::bf16), W(thirds(w_size(s)), DType::bf16);
    const EmulatedArray Y(y_size(s), DType::bf16);
    const int parts = kernels::conv2d_moment_parts(device_(), s, X.view(), W.view(), Y.view());
    ASSERT_GT(parts, 0);
    const EmulatedArray Parts(std::int64_t(parts) * s.K * 3, DType::f32);
    Conv2dEpilogue e;
    e.moments = Parts.floats();
    kernels::conv2d_forward(device_(), s, Math::f32, X.view(), W.view(), e, Y.view());
    const std::int64_t M = y_size(s) / s.K;
    const EmulatedArray Moments(2 * s.K, DType::f32);
    kernels::batchnorm_moments(device_(), {M, s.K}, Y.view(), Moments.floats(), {parts, Parts.floats()});
    const std::vector<float> y = Y.values(), moments = Moments.values();
    for (int k = 0; k < s.K; ++k) {
      double mean = 0, m2 = 0;
      for (std::int64_t m = 0; m < M; ++m)
        mean += y[std::size_t(m * s.K + k)] / double(M);
      for (std::int64_t m = 0; m < M; ++m)
        m2 += std::pow(y[std::size_t(m * s.K + k)] - mean, 2);
      const double deviation = std::sqrt(m2 / double(M));
      EXPECT_NEAR(moments[std::size_t(k)], mean, 1e-5 * deviation) << describe(s, kBf16) << " channel " << k;
      EXPECT_NEAR(moments[std::size_t(s.K + k)], m2, 1e-4 * m2) << describe(s, kBf16) << " channel " << k;
    }
  }
}

TEST_F(Conv2dWgmma, DataGradientMatchesIntegerLoops) {
  for (const bool with_others : {false, true}) {
    for (const Conv2dShape& s :
         {Conv2dShape{1, 8, 16, 64, 64, 3, 3, 1, 1}, Conv2dShape{3, 5, 9, 128, 64, 3, 3, 1, 1},
          Conv2dShape{9, 4, 4, 192, 64, 2, 3, 1, 1}, Conv2dShape{2, 9, 11, 64, 128, 1, 1, 1, 0},
          Conv2dShape{2, 11, 10, 64, 64, 3, 3, 2, 1},    // four phases
          Conv2dShape{2, 6, 5, 128, 64, 1, 1, 2, 0}}) {  // phases that no filter touches
      with_others_ = !with_others;
      expect_backward_data(s, kBf16);
    }
  }
}

TEST_F(Conv2dWgmma, WeightGradientMatchesIntegerLoops) {
  expect_backward_weight({1, 8, 16, 64, 64, 3, 3, 1, 1}, kBf16);  // an odd number of blocks of channels
  expect_backward_weight({3, 5, 9, 128, 128, 3, 3, 1, 1}, kBf16);
  expect_backward_weight({19, 4, 4, 64, 192, 2, 3, 1, 1}, kBf16);
  expect_backward_weight({2, 11, 10, 64, 64, 3, 3, 2, 1}, kBf16);
  expect_backward_weight({3, 27, 29, 64, 64, 1, 1, 1, 0}, kBf16);  // two runs of positions
}

}  // namespace
}  // namespace clx::tests
