// The CPU's convolution and matrix product against plain loops in double, on odd sizes.
#include <gtest/gtest.h>
#include <new>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/matmul.h"
#include "tests/kernels/convolved.h"
#include "tests/kernels/numbers.h"

namespace clx::kernels {
namespace {

const Conv2dShape kConvolutions[] = {
    {2, 9, 7, 3, 16, 3, 3, 1, 1},     // stem
    {2, 23, 19, 3, 20, 7, 7, 2, 3},   // large stem
    {3, 8, 8, 16, 32, 3, 3, 2, 1},    // strided, even
    {1, 9, 11, 16, 16, 3, 3, 2, 1},   // strided, odd
    {2, 5, 5, 17, 13, 3, 3, 1, 1},    // odd channels
    {2, 7, 9, 32, 48, 1, 1, 1, 0},    // pointwise
    {2, 7, 8, 16, 64, 1, 1, 2, 0},    // pointwise, strided
    {1, 8, 8, 256, 512, 1, 1, 2, 0},  // whose filters oneDNN keeps in blocks that 64 is no multiple of
    {1, 3, 3, 5, 7, 3, 3, 1, 0},      // one output
    {1, 6, 10, 4, 8, 2, 5, 3, 2},     // neither square nor odd
    {70, 4, 4, 64, 64, 3, 3, 1, 1, Conv2dAlgorithm::direct},  // several chunks of images and a rest
    {5, 9, 8, 64, 70, 3, 3, 2, 1},   // whose weight gradient is a product for each tap, in f32 …
    {22, 7, 8, 80, 64, 3, 3, 2, 1},  // … and in bf16: more than one group of positions
    {1, 10, 9, 8, 16, 3, 3, 4, 0},   // pixels that no window covers
    {1, 9, 10, 16, 3, 1, 1, 1, 0},   // pointwise, an odd number of filters …
    {1, 12, 10, 3, 8, 1, 1, 2, 0},   // … and of channels
    {1, 3, 1, 12, 13, 3, 3, 3, 1},   // narrower than the stride
    {5, 5, 2, 8, 32, 5, 5, 3, 2},    // windows over both edges
    {5, 3, 5, 5, 32, 4, 4, 4, 3},    // windows mostly in the padding
};

TEST(CpuConv2d, IsExactOnSmallIntegers) {
  test::ScratchCpu cpu;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Conv2dShape& s : kConvolutions) {
      const std::size_t nx = std::size_t(s.N) * s.H * s.W * s.C, ny = std::size_t(s.N) * s.P() * s.Q() * s.K,
                        nw = std::size_t(s.K) * s.R * s.S * s.C;
      // In bf16 y and dx are exact up to 256, so their operands are 0 or ±1 and few differ from 0.
      const bool narrow = dtype == DType::bf16;
      Doubles x = integers(nx, 1, narrow ? 1 : 7), w = integers(nw, 2, narrow ? 1 : 7),
              dy = integers(ny, 3, narrow ? 1 : 7);
      const Convolved expected = convolved(s, x, w, dy);
      Numbers X(dtype, x), W(dtype, w), DY(dtype, dy), Y(dtype, ny), DX(dtype, nx), DW(DType::f32, nw);
      conv2d_forward(cpu(), s, Math::f32, X.view(), W.view(), {}, Y.view());
      conv2d_backward_data(cpu(), s, Math::f32, DY.view(), W.view(), DX.view());
      conv2d_backward_weight(cpu(), s, Math::f32, X.view(), DY.view(), DW.floats());
      expect_near(Y.values(), expected.y, 0, std::string("y ") + name_of(dtype) + " " + name(s));
      expect_near(DX.values(), expected.dx, 0, std::string("dx ") + name_of(dtype) + " " + name(s));
      expect_near(DW.values(), expected.dw, 0, std::string("dw ") + name_of(dtype) + " " + name(s));

      const Doubles others = integers(nx, 4, 9);
      Doubles sums = expected.dx;
      for (std::size_t i = 0; i < nx; ++i)
        sums[i] += others[i];
      Numbers Others(dtype, others);
      conv2d_backward_data(cpu(), s, Math::f32, DY.view(), W.view(), DX.view(), Others.view());
      expect_near(DX.values(), sums, 0, std::string("dx and others ") + name_of(dtype) + " " + name(s));
    }
}

TEST(CpuConv2d, MatchesDoubleLoopsOnRealNumbers) {
  test::ScratchCpu cpu;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Conv2dShape& s : kConvolutions) {
      const std::size_t nx = std::size_t(s.N) * s.H * s.W * s.C, ny = std::size_t(s.N) * s.P() * s.Q() * s.K,
                        nw = std::size_t(s.K) * s.R * s.S * s.C;
      Numbers X(dtype, normal(nx, 1)), W(dtype, normal(nw, 2, 0, 0.1)), DY(dtype, normal(ny, 3));
      Numbers Y(dtype, ny), DX(dtype, nx), DW(DType::f32, nw);
      const Convolved expected = convolved(s, X.values(), W.values(), DY.values());
      conv2d_forward(cpu(), s, Math::f32, X.view(), W.view(), {}, Y.view());
      conv2d_backward_data(cpu(), s, Math::f32, DY.view(), W.view(), DX.view());
      conv2d_backward_weight(cpu(), s, Math::f32, X.view(), DY.view(), DW.floats());
      expect_near(Y.values(), expected.y, tolerance_of(dtype), "y " + name(s));
      expect_near(DX.values(), expected.dx, tolerance_of(dtype), "dx " + name(s));
      expect_near_sums(DW.values(), expected.dw, 2e-6, "dw " + name(s));
    }
}

TEST(CpuConv2d, AddsBiasAndResidualBeforeRelu) {
  test::ScratchCpu cpu;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Conv2dShape& s : kConvolutions) {
      const std::size_t nx = std::size_t(s.N) * s.H * s.W * s.C, ny = std::size_t(s.N) * s.P() * s.Q() * s.K,
                        nw = std::size_t(s.K) * s.R * s.S * s.C, K = std::size_t(s.K);
      Numbers X(dtype, integers(nx, 1, 1)), W(dtype, integers(nw, 2, 1)), R(dtype, integers(ny, 4, 9));
      Numbers B(DType::f32, integers(K, 5, 9)), Y(dtype, ny);
      const Doubles products = convolved(s, X.values(), W.values(), Doubles(ny)).y;
      const Doubles bias = B.values(), residual = R.values();
      for (int parts = 1; parts < 8; ++parts) {
        Conv2dEpilogue epilogue;
        if (parts & 1) epilogue.bias = B.floats();
        if (parts & 2) epilogue.residual = R.view();
        epilogue.relu = parts & 4;
        conv2d_forward(cpu(), s, Math::tf32, X.view(), W.view(), epilogue, Y.view());
        Doubles y = products;
        for (std::size_t i = 0; i < ny; ++i) {
          if (parts & 1) y[i] += bias[i % K];
          if (parts & 2) y[i] += residual[i];
          if (parts & 4) y[i] = std::max(0.0, y[i]);
        }
        expect_near(Y.values(), y, 0,
                    "parts " + std::to_string(parts) + " " + name_of(dtype) + " " + name(s));
      }
    }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which need all of it
// oneDNN writes a primitive's instructions without a look at whether it got memory for them.
TEST(CpuConv2dDeathTest, WithoutMemoryForInstructionsIsOutOfMemory) {
  const auto convolve_without_memory = [] {
    test::ScratchCpu cpu;
    const Conv2dShape s{1, 9, 8, 24, 40, 3, 2, 1, 1, Conv2dAlgorithm::direct};  // of no other test
    Numbers X(DType::f32, Doubles(1 * 9 * 8 * 24)), W(DType::f32, Doubles(40 * 3 * 2 * 24));
    Numbers Y(DType::f32, std::size_t(s.P()) * s.Q() * 40);
    const rlimit nothing_more{1, 1};
    setrlimit(RLIMIT_AS, &nothing_more);
    try {
      conv2d_forward(cpu(), s, Math::f32, X.view(), W.view(), {}, Y.view());
    } catch (const std::bad_alloc&) {
      _exit(0);
    }
    _exit(1);
  };
  EXPECT_EXIT(convolve_without_memory(), testing::ExitedWithCode(0), "");
}
#endif

// ------------------------------------------------------------------------------------ matmul

TEST(CpuMatmul, IsExactOnSmallIntegersInEveryTransposition) {
  test::ScratchCpu cpu;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const auto& [M, N, K] :
         std::vector<std::array<int, 3>>{{1, 1, 1}, {97, 257, 65}, {128, 10, 512}, {3, 300, 7}})
      for (int variant = 0; variant < 8; ++variant) {
        const MatmulShape s{M, N, K, (variant & 1) != 0, (variant & 2) != 0};
        const auto extent = [](int a, int b) { return std::size_t(a) * std::size_t(b); };
        const Doubles a = integers(extent(M, K), 1, 9), b = integers(extent(K, N), 2, 9),
                      bias = integers(extent(1, N), 3, 9);
        Numbers A(dtype, a), B(dtype, b), bias32(DType::f32, bias), C(DType::f32, extent(M, N));
        matmul(cpu(), s, Math::f32, A.view(), B.view(), variant & 4 ? bias32.floats() : nullptr, C.floats());
        Doubles c(extent(M, N));
        for (int m = 0; m < M; ++m)
          for (int n = 0; n < N; ++n) {
            double sum = variant & 4 ? bias[std::size_t(n)] : 0;
            for (int k = 0; k < K; ++k)
              sum += a[s.transpose_a ? extent(k, M) + m : extent(m, K) + k] *
                     b[s.transpose_b ? extent(n, K) + k : extent(k, N) + n];
            c[extent(m, N) + n] = sum;
          }
        expect_near(C.values(), c, 0, std::to_string(variant) + " " + std::to_string(M));
      }
}

TEST(CpuMatmul, SumsColumns) {
  const Doubles x = integers(101 * 67, 1, 100);
  Numbers X(DType::f32, x), Y(DType::f32, 67);
  column_sum(Cpu{}, 101, 67, X.floats(), Y.floats());
  Doubles y(67);
  for (std::size_t i = 0; i < x.size(); ++i)
    y[i % 67] += x[i];
  expect_near(Y.values(), y, 0, "column_sum");
}

}  // namespace
}  // namespace clx::kernels
