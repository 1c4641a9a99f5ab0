// The other CPU kernels against plain loops in double, on odd sizes and in both activation types.
#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "kernels/augment.h"
#include "kernels/batchnorm.h"
#include "kernels/elementwise.h"
#include "kernels/philox.h"
#include "kernels/pool.h"
#include "kernels/sgd.h"
#include "kernels/softmax.h"
#include "tests/kernels/numbers.h"

namespace clx::kernels {
namespace {

struct NormCase {
  std::int64_t M;
  int C;
  double mean;
};
const NormCase kNorms[] = {{2, 1, 0},      {37, 3, 0},  {5000, 16, 1000}, {777, 64, 3},
                           {1201, 83, -5}, {9, 130, 0}, {70001, 5, 1000}};

TEST(CpuBatchNorm, FindsMeanAndVarianceFarFromZero) {
  test::ScratchCpu cpu;
  for (const auto& [M, C, center] : kNorms) {
    const std::size_t c = std::size_t(C);
    Numbers X(DType::f32, normal(std::size_t(M) * c, 1, center)), mean(DType::f32, c), inv_std(DType::f32, c),
        running_mean(DType::f32, Doubles(c, 0.5)), running_var(DType::f32, Doubles(c, 2));
    batchnorm_statistics(cpu(), {M, C}, X.view(), 1e-5f, 0.25f, mean.floats(), inv_std.floats(),
                         running_mean.floats(), running_var.floats());
    const Doubles x = X.values();
    Doubles m(c), r(c), rm(c), rv(c);
    for (std::size_t i = 0; i < x.size(); ++i)
      m[i % c] += x[i] / double(M);
    Doubles v(c);
    for (std::size_t i = 0; i < x.size(); ++i)
      v[i % c] += (x[i] - m[i % c]) * (x[i] - m[i % c]) / double(M);
    for (std::size_t k = 0; k < c; ++k) {
      r[k] = 1 / std::sqrt(v[k] + double(1e-5f));
      rm[k] = 0.75 * 0.5 + 0.25 * m[k];
      rv[k] = 0.75 * 2 + 0.25 * v[k] * double(M) / double(M - 1);
    }
    const std::string what = std::to_string(M) + "×" + std::to_string(C);
    expect_near(mean.values(), m, 1e-7, "mean " + what);
    expect_near(inv_std.values(), r, 3e-6, "inv_std " + what);
    expect_near(running_mean.values(), rm, 2e-7, "running_mean " + what);
    expect_near(running_var.values(), rv, 3e-6, "running_var " + what);
  }
}

// A first row far from the rest must not spoil the variance.
TEST(CpuBatchNorm, FindsTheVarianceBehindAnOutlier) {
  test::ScratchCpu cpu;
  Doubles x = normal(4096, 1);
  x[0] = 1e4;
  Numbers X(DType::f32, x), mean(DType::f32, 1), inv_std(DType::f32, 1);
  batchnorm_statistics(cpu(), {4096, 1}, X.view(), 0, 0, mean.floats(), inv_std.floats(), nullptr, nullptr);
  double m = 0, v = 0;
  for (double value : X.values())
    m += value / 4096;
  for (double value : X.values())
    v += (value - m) * (value - m) / 4096;
  EXPECT_NEAR(double(inv_std.floats()[0]) * std::sqrt(v), 1, 2e-5);
}

TEST(CpuBatchNorm, MatchesDoubleLoopsInEveryVariant) {
  test::ScratchCpu cpu;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const auto& [M, C, center] : kNorms)
      for (int variant = 0; variant < 8; ++variant) {
        const bool relu = variant & 1, add = variant & 2, training = variant & 4;
        const std::size_t c = std::size_t(C), n = std::size_t(M) * c;
        const double spread = center == 1000 && dtype == DType::bf16 ? 100 : 1;
        Numbers X(dtype, normal(n, 1, center, spread)), R(dtype, normal(n, 2)), DY(dtype, normal(n, 3));
        Numbers gamma(DType::f32, normal(c, 4)), beta(DType::f32, normal(c, 5)),
            mean(DType::f32, normal(c, 6, center)), inv_std(DType::f32, Doubles(c, 0.75 / spread));
        Numbers Y(dtype, n), DX(dtype, n), DR(dtype, n), dgamma(DType::f32, c), dbeta(DType::f32, c);
        const BatchNormShape s{M, C};
        std::vector<unsigned char> saved(batchnorm_saved_bytes(cpu(), s, relu));
        batchnorm_apply(cpu(), s, X.view(), add ? ConstView(R.view()) : ConstView(), gamma.floats(),
                        beta.floats(), mean.floats(), inv_std.floats(), relu, Y.view(), saved.data());
        batchnorm_backward(cpu(), s, X.view(), DY.view(), gamma.floats(), mean.floats(), inv_std.floats(),
                           training, relu, saved.data(), DX.view(), add ? DR.view() : View(), dgamma.floats(),
                           dbeta.floats());
        const Doubles x = X.values(), r = R.values(), dy = DY.values(), ga = gamma.values(),
                      be = beta.values(), me = mean.values(), is = inv_std.values(), got_y = Y.values();
        Doubles y(n), g(n), dx(n), dg(c), db(c);
        for (std::size_t i = 0; i < n; ++i) {
          const std::size_t k = i % c;
          y[i] = ga[k] * (x[i] - me[k]) * is[k] + be[k] + (add ? r[i] : 0);
          // On which side of 0 rounding puts a value is the kernel's to say.
          const bool passes = !relu || (std::abs(y[i]) < 1e-4 ? got_y[i] > 0 : y[i] > 0);
          if (relu) y[i] = std::max(0.0, y[i]);
          g[i] = passes ? dy[i] : 0;
          db[k] += g[i];
          dg[k] += g[i] * (x[i] - me[k]) * is[k];
        }
        for (std::size_t i = 0; i < n; ++i) {
          const std::size_t k = i % c;
          const double hat = (x[i] - me[k]) * is[k];
          dx[i] = ga[k] * is[k] * (training ? g[i] - (db[k] + hat * dg[k]) / double(M) : g[i]);
        }
        const std::string what = std::string(name_of(dtype)) + " " + std::to_string(M) + "×" +
                                 std::to_string(C) + " " + std::to_string(variant);
        const double tolerance = tolerance_of(dtype);
        expect_near(got_y, y, tolerance, "y " + what);
        expect_near(DX.values(), dx, tolerance, "dx " + what);
        expect_near_sums(dgamma.values(), dg, 2e-6, "dgamma " + what);
        expect_near_sums(dbeta.values(), db, 2e-6, "dbeta " + what);
        if (add) expect_near(DR.values(), g, 0, "dresidual " + what);
      }
}

// ------------------------------------------------------------------------------------ the rest

TEST(CpuElementwise, MatchesScalarsOnEveryTail) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::size_t n : {1u, 15u, 16u, 33u, 70003u}) {
      const auto size = static_cast<std::int64_t>(n);
      Numbers a(dtype, integers(n, 1, 9)), c(dtype, integers(n, 2, 9)), sum(dtype, n), y(dtype, n),
          dx(dtype, n), twos(dtype, n), f32(DType::f32, n);
      add(Cpu{}, size, a.view(), c.view(), sum.view());
      relu_forward(Cpu{}, size, a.view(), y.view());
      relu_backward(Cpu{}, size, y.view(), c.view(), dx.view());
      fill(Cpu{}, size, 2, twos.view());
      convert(Cpu{}, size, a.view(), f32.view());
      const Doubles av = a.values(), cv = c.values();
      Doubles s(n), r(n), d(n);
      for (std::size_t i = 0; i < n; ++i) {
        s[i] = av[i] + cv[i];
        r[i] = std::max(0.0, av[i]);
        d[i] = av[i] > 0 ? cv[i] : 0;
      }
      expect_near(sum.values(), s, 0, "add");
      expect_near(y.values(), r, 0, "relu");
      expect_near(dx.values(), d, 0, "relu backward");
      expect_near(twos.values(), Doubles(n, 2), 0, "fill");
      expect_near(f32.values(), av, 0, "convert");
    }
}

TEST(CpuElementwise, RoundsToBf16AsTheTypeDoesAndKeepsNaN) {
  std::vector<float> x = {0.0f,    -0.0f,  1.00390625f,  1.01171875f,
                          3.4e38f, 1e-40f, -1.0f / 0.0f, std::numeric_limits<float>::quiet_NaN()};
  std::mt19937 engine(1);
  for (int i = 0; i < 1000; ++i) {
    const std::uint32_t bits = engine();
    float value;
    std::memcpy(&value, &bits, sizeof value);
    x.push_back(value);
  }
  const auto n = static_cast<std::int64_t>(x.size());
  std::vector<bf16> y(x.size());
  convert(Cpu{}, n, {x.data(), DType::f32}, {y.data(), DType::bf16});
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(y[i].bits, bf16(x[i]).bits) << x[i];
  std::vector<float> clipped(x.size());
  relu_forward(Cpu{}, n, {x.data(), DType::f32}, {clipped.data(), DType::f32});
  EXPECT_TRUE(std::isnan(clipped[7]));
}

TEST(CpuPool, FindsTheFirstMaximumAndSendsGradientsBack) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const PoolShape& s :
         {PoolShape{2, 9, 7, 5, 3, 2, 1}, PoolShape{1, 8, 8, 130, 2, 2, 0}, PoolShape{1, 5, 6, 3, 3, 1, 1}}) {
      const std::size_t C = std::size_t(s.C), nx = std::size_t(s.N) * s.H * s.W * C,
                        ny = std::size_t(s.N) * s.P() * s.Q() * C;
      Numbers X(dtype, integers(nx, 1, 5)), Y(dtype, ny), DY(dtype, integers(ny, 2, 9)), DX(dtype, nx);
      std::vector<std::uint8_t> argmax(ny);
      max_pool_forward(Cpu{}, s, X.view(), Y.view(), argmax.data());
      max_pool_backward(Cpu{}, s, DY.view(), argmax.data(), DX.view());
      const Doubles x = X.values(), dy = DY.values();
      Doubles y(ny), dx(nx);
      std::size_t i = 0;
      for (int n = 0; n < s.N; ++n)
        for (int p = 0; p < s.P(); ++p)
          for (int q = 0; q < s.Q(); ++q)
            for (std::size_t c = 0; c < C; ++c, ++i) {
              double best = -std::numeric_limits<double>::infinity();
              std::size_t from = 0;
              int place = 0;
              for (int r = 0; r < s.R; ++r)
                for (int t = 0; t < s.R; ++t) {
                  const int h = p * s.stride + r - s.padding, w = q * s.stride + t - s.padding;
                  if (h < 0 || h >= s.H || w < 0 || w >= s.W) continue;
                  const std::size_t at = ((std::size_t(n) * s.H + h) * s.W + w) * C + c;
                  if (x[at] > best) {
                    best = x[at];
                    from = at;
                    place = r * s.R + t;
                  }
                }
              y[i] = best;
              dx[from] += dy[i];
              EXPECT_EQ(argmax[i], place);
            }
      expect_near(Y.values(), y, 0, "max pool");
      expect_near(DX.values(), dx, 0, "max pool backward");
    }
}

TEST(CpuPool, AveragesPositions) {
  Numbers X(DType::bf16, integers(2 * 9 * 70, 1, 9)), DX(DType::f32, 2 * 9 * 70), Y(DType::f32, 2 * 70);
  average_pool_forward(Cpu{}, 2, 9, 70, X.view(), Y.floats());
  average_pool_backward(Cpu{}, 2, 9, 70, Y.floats(), DX.view());
  const Doubles x = X.values();
  Doubles y(140), dx(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    y[i / (9 * 70) * 70 + i % 70] += x[i] / 9;
  for (std::size_t i = 0; i < x.size(); ++i)
    dx[i] = y[i / (9 * 70) * 70 + i % 70] / 9;
  expect_near(Y.values(), y, 1e-6, "average pool");
  expect_near(DX.values(), dx, 1e-6, "average pool backward");
}

TEST(CpuPool, SubsamplesAndPadsChannels) {
  const SubsampleShape s{2, 5, 6, 3, 8, 2};
  const std::size_t nx = 2 * 5 * 6 * 3, ny = 2 * 3 * 3 * 8;
  Numbers X(DType::f32, integers(nx, 1, 99)), Y(DType::f32, ny), DX(DType::f32, nx);
  subsample_forward(Cpu{}, s, X.view(), Y.view());
  subsample_backward(Cpu{}, s, Y.view(), DX.view());
  const Doubles x = X.values();
  Doubles y(ny), dx(nx);
  for (std::size_t i = 0; i < ny; ++i) {
    const std::size_t k = i % 8, q = i / 8 % 3, p = i / 24 % 3, n = i / 72;
    if (k < 2 || k >= 5) continue;
    const std::size_t at = ((n * 5 + 2 * p) * 6 + 2 * q) * 3 + k - 2;
    y[i] = dx[at] = x[at];
  }
  expect_near(Y.values(), y, 0, "subsample");
  expect_near(DX.values(), dx, 0, "subsample backward");
}

TEST(CpuCrossEntropy, MatchesDoublesWithSmoothingAndLargeLogits) {
  test::ScratchCpu cpu;
  const int N = 53, K = 11;
  for (const float smoothing : {0.0f, 0.1f}) {
    Numbers X(DType::f32, normal(N * K, 1, 500, 20)), p(DType::f32, N * K), loss(DType::f32, 1),
        dx(DType::f32, N * K);
    const Doubles x = X.values();
    std::vector<std::int32_t> labels(N), correct(1);
    Doubles expected_p(N * K), expected_dx(N * K);
    double expected_loss = 0;
    int hits = 0;
    const float dloss = 2;
    for (std::size_t i = 0; i < N; ++i) {
      labels[i] = static_cast<std::int32_t>(i * 7 % K);
      double sum = 0, largest = -1e9;
      std::size_t best = 0;
      for (std::size_t k = 0; k < K; ++k)
        if (x[i * K + k] > largest) largest = x[i * K + (best = k)];
      hits += static_cast<std::int32_t>(best) == labels[i];
      for (std::size_t k = 0; k < K; ++k)
        sum += std::exp(x[i * K + k] - largest);
      for (std::size_t k = 0; k < K; ++k) {
        const double q =
            (static_cast<std::int32_t>(k) == labels[i] ? 1 - double(smoothing) : 0) + double(smoothing) / K;
        const double log_p = x[i * K + k] - largest - std::log(sum);
        expected_p[i * K + k] = std::exp(log_p);
        expected_loss -= q * log_p / N;
        expected_dx[i * K + k] = (std::exp(log_p) - q) * 2 / N;
      }
    }
    cross_entropy_forward(cpu(), N, K, X.floats(), labels.data(), smoothing, p.floats(), loss.floats(),
                          correct.data());
    cross_entropy_backward(cpu(), N, K, p.floats(), labels.data(), smoothing, &dloss, dx.floats());
    expect_near(p.values(), expected_p, 1e-6, "p");
    expect_near(loss.values(), {expected_loss}, 1e-6, "loss");
    expect_near(dx.values(), expected_dx, 1e-6, "dlogits");
    EXPECT_EQ(correct[0], hits);
    Numbers y(DType::f32, N * K), dsoft(DType::f32, N * K);
    softmax_forward(Cpu{}, N, K, X.floats(), y.floats());
    expect_near(y.values(), expected_p, 1e-6, "softmax");
    softmax_backward(Cpu{}, N, K, y.floats(), X.floats(), dsoft.floats());
    Doubles expected_soft(N * K);
    for (std::size_t i = 0; i < N; ++i) {
      double dot = 0;
      for (std::size_t k = 0; k < K; ++k)
        dot += expected_p[i * K + k] * x[i * K + k];
      for (std::size_t k = 0; k < K; ++k)
        expected_soft[i * K + k] = expected_p[i * K + k] * (x[i * K + k] - dot);
    }
    expect_near(dsoft.values(), expected_soft, 1e-4, "softmax backward, of gradients near 500");
  }
}

TEST(CpuSgd, FollowsTheRuleForThreeSteps) {
  for (int variant = 0; variant < 4; ++variant) {
    const SgdConstants k{variant ? 0.75f : 0.0f, variant == 2 ? 0.5f : 0.0f, 0.25f, variant == 3};
    const std::size_t n = 40001;
    Numbers theta(DType::f32, normal(n, 1)), gradient(DType::f32, normal(n, 2)), momentum(DType::f32, n);
    Doubles t = theta.values(), m(n);
    const Doubles g0 = gradient.values();
    StepState state;
    state.learning_rate = 0.125f;
    for (state.step = 0; state.step < 3; ++state.step) {
      const SgdTensor tensor{theta.floats(), gradient.floats(), variant ? momentum.floats() : nullptr,
                             static_cast<std::int64_t>(n)};
      sgd_step(Cpu{}, 1, &tensor, k, &state);
      for (std::size_t i = 0; i < n; ++i) {
        const double g = g0[i] + 0.25 * t[i];
        m[i] = state.step == 0 || !variant ? g : 0.75 * m[i] + (1 - double(k.dampening)) * g;
        t[i] -= 0.125 * (k.nesterov ? g + 0.75 * m[i] : m[i]);
      }
    }
    expect_near(theta.values(), t, 1e-6, "theta, variant " + std::to_string(variant));
  }
}

TEST(CpuGather, CropsThenMirrorsAsPhiloxSays) {
  const GatherShape s{20, 6, 5, 3, 2, true};
  const Normalization by{{0.5f, 0.25f, 0.125f, 0}, {0.5f, 2, 1, 1}};
  std::vector<std::uint8_t> images(7 * 6 * 5 * 3);
  for (std::size_t i = 0; i < images.size(); ++i)
    images[i] = static_cast<std::uint8_t>(i * 37 % 251 + 1);
  std::vector<std::int64_t> samples(20);
  for (std::size_t i = 0; i < 20; ++i)
    samples[i] = static_cast<std::int64_t>(i * 3 % 7);
  StepState state;
  state.seed = 99;
  state.epoch = 4;
  Numbers Y(DType::f32, 20 * 6 * 5 * 3);
  gather_images(Cpu{}, s, by, images.data(), samples.data(), &state, Y.view());
  Doubles y;
  for (const std::int64_t sample : samples) {
    const Philox4 words = philox(99, Purpose::crop_flip, 4, static_cast<std::uint64_t>(sample));
    const int top = static_cast<int>(uniform_below(words.v[0], 5)),
              left = static_cast<int>(uniform_below(words.v[1], 5));
    const bool mirrored = uniform01(words.v[2]) < 0.5f;
    for (int h = 0; h < 6; ++h)
      for (int w = 0; w < 5; ++w)
        for (int c = 0; c < 3; ++c) {
          const int row = top + h - 2, column = left + (mirrored ? 4 - w : w) - 2;
          const bool inside = row >= 0 && row < 6 && column >= 0 && column < 5;
          const double value =
              inside ? images[static_cast<std::size_t>(((sample * 6 + row) * 5 + column) * 3 + c)] : 0;
          y.push_back((value / 255 - double(by.mean[c])) / double(by.std[c]));
        }
  }
  expect_near(Y.values(), y, 1e-6, "images");
}

TEST(CpuStepState, CountsAndRemembersTheFirstBadStep) {
  StepState state;
  const std::int32_t correct = 3;
  for (const float loss : {1.0f, std::numeric_limits<float>::quiet_NaN(), 2.0f})
    step_state_advance(Cpu{}, 8, &loss, &correct, &state);
  EXPECT_EQ(state.step, 3);
  EXPECT_EQ(state.first_bad_step, 1);
  EXPECT_EQ(state.seen, 24);
  EXPECT_EQ(state.correct, 9);
  EXPECT_EQ(state.batches, 3);
}

}  // namespace
}  // namespace clx::kernels
