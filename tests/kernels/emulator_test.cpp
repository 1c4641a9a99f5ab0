// Kernels that are right must come out right on the emulator, in every order of threads.
#include <array>
#include <gtest/gtest.h>
#include <thread>

#include "kernels/cuda/emulator/config.h"
#include "tests/kernels/instruction_checks.h"
#include "tests/kernels/instruction_kernels.cuh"

namespace clx::kernels {
namespace {

template <class T>
using Array = DeviceArray<Gpu, T>;
const Gpu gpu;

TEST(Emulator, TiledMatmulMatchesDouble) {
  for (const auto [M, N, K] : {std::array{16, 16, 16}, {33, 20, 17}, {5, 50, 40}}) {
    const auto A = uniform(std::size_t(M * K), 1), B = uniform(std::size_t(K * N), 2);
    const Array<float> a(gpu, A), b(gpu, B), c(gpu, std::size_t(M * N));
    matmul(gpu, M, N, K, a, b, c);
    expect_product(M, N, K, A, B, false, c.to_host(), 1e-5);
  }
}

TEST(Emulator, ReductionInDynamicSharedMemoryMatchesDouble) {
  const auto x = uniform(1000, 3);
  const Array<float> in(gpu, x), out(gpu, std::vector<float>{0.0f});
  sum(gpu, 1000, in, out);
  double expected = 0;
  for (const float v : x)
    expected += v;
  EXPECT_NEAR(out.to_host()[0], expected, 1e-4);
}

TEST(Emulator, WarpFunctionsFollowTheirDefinitions) {
  const Array<WarpResults> results(gpu, 1);
  warp_functions(gpu, results);
  const WarpResults r = results.to_host()[0];
  for (int t = 0; t < 32; ++t) {
    EXPECT_EQ(r.index[t], 5);
    EXPECT_EQ(r.up[t], t < 3 ? t : t - 3);
    EXPECT_EQ(r.down[t], t > 28 ? t : t + 3);
    EXPECT_EQ(r.exclusive_or[t], t ^ 9);
    EXPECT_EQ(r.narrow[t], t % 8 > 5 ? t : t + 2);
    EXPECT_EQ(r.ballot[t], 0x49249249u);
    EXPECT_EQ(r.match[t], 0x11111111u << t % 4);
    EXPECT_EQ(r.add[t], 496u);
    EXPECT_EQ(r.max[t], 31u);
    EXPECT_EQ(r.min[t], 7u);
    EXPECT_EQ(r.any[t], 1);
    EXPECT_EQ(r.all[t], 0);
  }
  EXPECT_EQ(r.count, 10);
  EXPECT_EQ(r.every, 0);
  EXPECT_NE(r.some, 0);
}

TEST(Emulator, CpAsyncLdmatrixAndMmaMatchDouble) {
  for (const int K : {32, 72, 160}) {
    const auto A = rounded(uniform(std::size_t(32 * K), 4)), B = rounded(uniform(std::size_t(64 * K), 5));
    const Array<bf16> a(gpu, A), b(gpu, B);
    const Array<float> c(gpu, 32 * 64);
    mma_tile(gpu, K, a, b, c);
    expect_product(32, 64, K, values(A), values(B), true, c.to_host(), 1e-4);
  }
}

TEST(Emulator, Tf32MmaMatchesDouble) {
  const auto A = uniform(16 * 8, 6), B = uniform(8 * 8, 7);
  const Array<float> a(gpu, A), b(gpu, B), c(gpu, 16 * 8);
  tf32_tile(gpu, a, b, c);
  expect_product(16, 8, 8, A, B, false, c.to_host(), 8 * 1e-3);  // 10 bits of mantissa
}

TEST(Emulator, Tf32MmaIsExactOnSmallIntegers) {
  std::vector<float> A, B;
  for (int i = 0; i < 128; ++i)
    A.push_back(float(i % 13 - 6));
  for (int i = 0; i < 64; ++i)
    B.push_back(float(i % 11 - 5));
  const Array<float> a(gpu, A), b(gpu, B), c(gpu, 16 * 8);
  tf32_tile(gpu, a, b, c);
  expect_product(16, 8, 8, A, B, false, c.to_host(), 0.0);
}

TEST(Emulator, RoundingsOfTf32AndBf16Pairs) {
  const std::vector<float> x = {1.0f,     1.0f + 0x1p-11f, -1.0f - 0x1p-11f, 1.0f + 0x1p-12f,
                                INFINITY, 0x1p-130f};
  const std::vector<float> y = {2.0f, 1.0f + 0x1p-8f, 1.0f + 0x1p-7f + 0x1p-8f, -3.0f, -INFINITY, 0.5f};
  const Array<float> dx(gpu, x), dy(gpu, y);
  const Array<std::uint32_t> tf32(gpu, x.size()), pairs(gpu, x.size());
  roundings(gpu, int(x.size()), dx, dy, tf32, pairs);
  const std::vector<std::uint32_t> expected = {0x3f800000u, 0x3f802000u, 0xbf802000u,
                                               0x3f800000u, 0x7f800000u, 0x00080000u};
  EXPECT_EQ(tf32.to_host(), expected);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(pairs.to_host()[i], bf16(x[i]).bits | std::uint32_t(bf16(y[i]).bits) << 16);
}

TEST(Emulator, LdmatrixTransposesEachMatrix) {
  std::vector<std::uint16_t> x(256);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = std::uint16_t(i);
  const Array<std::uint16_t> in(gpu, x);
  const Array<std::uint32_t> out(gpu, 128);
  transpose(gpu, in, out);
  const auto y = out.to_host();
  for (std::size_t matrix = 0; matrix < 4; ++matrix)
    for (std::size_t lane = 0; lane < 32; ++lane) {
      const std::size_t row = 2 * (lane % 4), col = lane / 4;
      const std::uint32_t low = x[matrix * 64 + row * 8 + col], high = x[matrix * 64 + (row + 1) * 8 + col];
      EXPECT_EQ(y[matrix * 32 + lane], low | high << 16);
    }
}

TEST(Emulator, NamedBarriersHandOver) {
  const auto x = uniform(32, 8);
  const Array<float> in(gpu, x), out(gpu, 32);
  hand_over(gpu, in, out);
  for (std::size_t i = 0; i < 32; ++i)
    EXPECT_EQ(out.to_host()[i], (x[i] + 1) * 2);
}

#define REQUIRE_HOPPER() \
  if (compute_capability(gpu) < 90) GTEST_SKIP() << "the layer is that of an older GPU"

TEST(Emulator, TmaAndWgmmaMatchDouble) {
  REQUIRE_HOPPER();
  for (const auto [M, N, K] : {std::array{64, 64, 64}, {64, 64, 192}, {100, 72, 136}}) {
    const auto A = rounded(uniform(std::size_t(M * K), 9)), B = rounded(uniform(std::size_t(N * K), 10));
    const Array<bf16> a(gpu, A), b(gpu, B);
    const Array<float> c(gpu, std::size_t(M * N));
    wgmma_matmul(gpu, M, N, K, a, b, c);
    expect_product(M, N, K, values(A), values(B), true, c.to_host(), 1e-4);
  }
}

TEST(Emulator, WgmmaReadsMnMajorOperands) {
  REQUIRE_HOPPER();
  const auto A = rounded(uniform(64 * 64, 11)), B = rounded(uniform(64 * 64, 12));
  const Array<bf16> a(gpu, A), b(gpu, B);
  const Array<float> c(gpu, 64 * 64);
  wgmma_stores(gpu, a, b, c);
  expect_product(64, 64, 64, values(A), values(B), false, c.to_host(), 1e-4);
}

TEST(Emulator, SeveralHostThreadsMayLaunch) {
  const auto A = uniform(33 * 17, 1), B = uniform(17 * 20, 2);
  const auto run = [&] {
    for (int i = 0; i < 3; ++i) {
      const Array<float> a(gpu, A), b(gpu, B), c(gpu, 33 * 20);
      matmul(gpu, 33, 20, 17, a, b, c);
      expect_product(33, 20, 17, A, B, false, c.to_host(), 1e-5);
    }
  };
  std::thread other(run);
  run();
  other.join();
}

TEST(Emulator, BlocksMaySpreadOverHostThreads) {
  const auto before = emulator::config();
  auto config = before;
  config.workers = 3;
  emulator::set_config(config);
  const auto x = uniform(5000, 13);
  const Array<float> in(gpu, x), out(gpu, std::vector<float>{0.0f});
  sum(gpu, 5000, in, out);
  emulator::set_config(before);
  double expected = 0;
  for (const float v : x)
    expected += v;
  EXPECT_NEAR(out.to_host()[0], expected, 1e-3);
}

TEST(Emulator, EveryOrderGivesTheSameBits) {
  const auto before = emulator::config();
  const auto A = rounded(uniform(32 * 72, 4)), B = rounded(uniform(64 * 72, 5));
  const Array<bf16> a(gpu, A), b(gpu, B);
  const Array<float> c(gpu, 32 * 64);
  mma_tile(gpu, 72, a, b, c);
  const auto expected = c.to_host();
  for (const auto order : {emulator::Order::forward, emulator::Order::reverse, emulator::Order::random})
    for (const auto async : {emulator::Async::late, emulator::Async::early, emulator::Async::random})
      for (const unsigned seed : {1u, 2u, 3u}) {
        auto config = before;
        config.order = order;
        config.async = async;
        config.seed = seed;
        emulator::set_config(config);
        mma_tile(gpu, 72, a, b, c);
        EXPECT_EQ(c.to_host(), expected);
      }
  emulator::set_config(before);
}

}  // namespace
}  // namespace clx::kernels
