// Convolutions and matrix products of random shapes, on the CPU and on the emulator, against integer loops.
// Operands are small whole numbers: every sum is exact in f32, and results are compared for equality.
//
// A case is drawn from its number alone. CLX_FUZZ=10 tries ten times as many as usual, CLX_FUZZ_CASE=n only
// n.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <sstream>
#include <string>

#include "kernels/conv2d.h"
#include "kernels/cuda/emulator/config.h"
#include "kernels/matmul.h"
#include "tests/kernels/convolved.h"
#include "tests/kernels/whole_numbers.h"

namespace clx::tests {
namespace {

using kernels::Conv2dEpilogue;
using kernels::Conv2dShape;
using kernels::Math;
using kernels::MatmulShape;

// Instrumented builds look for other faults, at a tenth of the speed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

/// Calls attempt(random numbers of the case) for `count` cases until one returns what is wrong.
template <class Attempt>
void fuzz(int count, Attempt&& attempt) {
  unsigned first = 0;
  const char* const asked = std::getenv("CLX_FUZZ");
  const double factor = asked ? std::atof(asked) : kSanitized || emulator::detects_races() ? 0.1 : 1;
  count = std::max(1, static_cast<int>(std::lround(count * factor)));
  if (const char* only = std::getenv("CLX_FUZZ_CASE"))
    first = static_cast<unsigned>(std::atoi(only)), count = 1;
  for (unsigned number = first; number < first + static_cast<unsigned>(count); ++number) {
    std::mt19937 random(number);
    const std::string fault = attempt(random);
    if (fault.empty()) continue;
    ADD_FAILURE() << fault << "\nalone: CLX_FUZZ_CASE=" << number << " test_kernels --gtest_filter="
                  << testing::UnitTest::GetInstance()->current_test_suite()->name() << "."
                  << testing::UnitTest::GetInstance()->current_test_info()->name();
    return;
  }
}

int pick(std::mt19937& random, std::initializer_list<int> values) {
  return values.begin()[std::uniform_int_distribution<std::size_t>(0, values.size() - 1)(random)];
}
int between(std::mt19937& random, int smallest, int largest) {
  return std::uniform_int_distribution<int>(smallest, largest)(random);
}

/// How products are formed: bf16 operands, or f32 ones and how.
struct Precision {
  DType dtype;
  Math math;
};
Precision pick_precision(std::mt19937& random) {
  switch (between(random, 0, 2)) {
    case 0:
      return {DType::bf16, Math::f32};
    case 1:
      return {DType::f32, Math::tf32};
    default:
      return {DType::f32, Math::f32};
  }
}
std::string name(const Precision& precision) {
  return std::string(name_of(precision.dtype)) + (precision.math == Math::tf32 ? " tf32" : "");
}

// ------------------------------------------------------------------------------------ convolution

/// Any geometry of at most so many products: windows wholly in the padding, strides that skip the filter,
/// pixels that no window covers, more filters than pixels.
Conv2dShape pick_convolution(std::mt19937& random, std::int64_t most_products) {
  while (true) {
    Conv2dShape s;
    s.N = pick(random, {1, 1, 2, 3, 5, 19});
    s.C = pick(random, {1, 2, 3, 5, 8, 12, 16, 17, 24, 32, 40, 64, 72, 130});
    s.K = pick(random, {1, 2, 3, 5, 8, 13, 16, 24, 32, 48, 64, 65, 96});
    s.R = pick(random, {1, 1, 2, 3, 3, 3, 4, 5, 7}), s.S = pick(random, {s.R, s.R, s.R, 1, 2, 3, 5});
    s.stride = pick(random, {1, 1, 1, 2, 2, 3, 4}), s.padding = pick(random, {0, 0, 1, 1, 2, 3, 4});
    s.H = between(random, 1, 14), s.W = between(random, 1, 14);
    if (s.H + 2 * s.padding < s.R || s.W + 2 * s.padding < s.S) continue;
    if (kernels::y_size(s) * s.R * s.S * s.C <= most_products) return s;
  }
}

/// A convolution, its epilogue and its gradients.
struct ConvolutionCase {
  Conv2dShape shape;
  Precision precision;
  bool bias, residual, relu, others;
  int offset;  // elements by which memory misses its alignment
  Integers x, w, dy, of_bias, of_residual, of_others;

  ConvolutionCase(std::mt19937& random, const Conv2dShape& s)
      : shape(s),
        precision(pick_precision(random)),
        bias(between(random, 0, 1) != 0),
        residual(between(random, 0, 1) != 0),
        relu(between(random, 0, 1) != 0),
        others(between(random, 0, 1) != 0),
        offset(pick(random, {0, 0, 0, 1, 2})),
        x(random_integers(random, kernels::x_size(s))),
        w(random_integers(random, kernels::w_size(s))),
        dy(random_integers(random, kernels::y_size(s))),
        of_bias(random_integers(random, s.K, 20)),
        of_residual(random_integers(random, kernels::y_size(s), 20)),
        of_others(random_integers(random, kernels::x_size(s), 20)) {}

  kernels::Convolved<std::int64_t> exact() const {
    auto exact = kernels::convolved(shape, x, w, dy);
    for (std::size_t o = 0; o < exact.y.size(); ++o) {
      if (bias) exact.y[o] += of_bias[o % std::size_t(shape.K)];
      if (residual) exact.y[o] += of_residual[o];
      if (relu) exact.y[o] = std::max<std::int64_t>(exact.y[o], 0);
    }
    for (std::size_t i = 0; others && i < exact.dx.size(); ++i)
      exact.dx[i] += of_others[i];
    return exact;
  }

  std::string text() const {
    std::ostringstream text;
    text << name(precision) << " x(" << shape.N << "," << shape.H << "," << shape.W << "," << shape.C
         << ") w(" << shape.K << "," << shape.R << "," << shape.S << ") stride " << shape.stride
         << " padding " << shape.padding << (bias ? " bias" : "") << (residual ? " residual" : "")
         << (relu ? " relu" : "") << (others ? " others" : "") << " offset " << offset;
    return text.str();
  }
};

template <class Backend>
struct Results {
  GuardedArray<Backend> y, dx, dw;
};
template <class Backend>
Results<Backend> convolve(WithScratch<Backend>& backend, const ConvolutionCase& c) {
  const Conv2dShape& s = c.shape;
  const DType dtype = c.precision.dtype;
  using Array = GuardedArray<Backend>;
  const Array x(c.x, dtype, c.offset), w(c.w, dtype, c.offset), dy(c.dy, dtype, c.offset);
  const Array bias(c.of_bias, DType::f32), residual(c.of_residual, dtype, c.offset),
      others(c.of_others, dtype, c.offset);
  Conv2dEpilogue epilogue;
  if (c.bias) epilogue.bias = bias.floats();
  if (c.residual) epilogue.residual = residual.view();
  epilogue.relu = c.relu;
  Results<Backend> results{Array(kernels::y_size(s), dtype, c.offset),
                           Array(kernels::x_size(s), dtype, c.offset),
                           Array(kernels::w_size(s), DType::f32, c.offset)};
  const Math math = c.precision.math;
  kernels::conv2d_forward(backend(), s, math, x.view(), w.view(), epilogue, results.y.view());
  kernels::conv2d_backward_data(backend(), s, math, dy.view(), w.view(), results.dx.view(),
                                c.others ? others.view() : ConstView{});
  kernels::conv2d_backward_weight(backend(), s, math, x.view(), dy.view(), results.dw.floats());
  return results;
}

/// What is wrong with the convolutions of one shape, "" if nothing.
template <class Backend>
std::string convolution_fault(WithScratch<Backend>& backend, const ConvolutionCase& c) {
  const auto got = convolve(backend, c);
  const auto exact = c.exact();
  for (const auto& [what, fault] :
       {std::pair("y: ", difference(got.y, exact.y)), std::pair("dx: ", difference(got.dx, exact.dx)),
        std::pair("dw: ", difference(got.dw, exact.dw))})
    if (!fault.empty()) return what + fault + "\nof " + c.text();
  return "";
}

TEST(CpuFuzz, ConvolvesExactly) {
  WithScratch<Cpu> cpu;
  fuzz(900, [&](std::mt19937& random) {
    Conv2dShape s = pick_convolution(random, 200'000);
    s.algorithm = Conv2dAlgorithm::direct;
    ConvolutionCase c(random, s);
    if (c.precision.dtype == DType::bf16) c.others = false;  // oneDNN rounds what they are then added to
    return convolution_fault(cpu, c);
  });
}

TEST(Conv2dKernelFuzz, ConvolvesExactly) {
  EmulatedDevice emulated;
  fuzz(450, [&](std::mt19937& random) {
    return convolution_fault(emulated, ConvolutionCase(random, pick_convolution(random, 50'000)));
  });
}

// Multiples of 64, as the kernels for Hopper want them.
TEST(Conv2dKernelFuzz, ConvolvesManyChannelsExactly) {
  EmulatedDevice emulated;
  fuzz(40, [&](std::mt19937& random) {
    Conv2dShape s = pick_convolution(random, 50'000);
    s.C = pick(random, {64, 64, 128}), s.K = pick(random, {64, 64, 128});
    s.N = std::min(s.N, 3);
    s.stride = between(random, 1, 2);
    return convolution_fault(emulated, ConvolutionCase(random, s));
  });
}

/// The largest error of `got`, in parts of the largest sum of the products' absolute values.
double worst(const GuardedArray<Cpu>& got, const Integers& exact, const Integers& of_absolutes) {
  const std::vector<float> values = got.values();
  double error = 0;
  for (std::size_t i = 0; i < exact.size(); ++i)
    error = std::max(error, std::abs(static_cast<double>(values[i]) - static_cast<double>(exact[i])));
  return error / static_cast<double>(std::max<std::int64_t>(1, *std::ranges::max_element(of_absolutes)));
}
Integers absolutes(Integers values) {
  for (auto& value : values)
    value = std::abs(value);
  return values;
}

// Its transforms multiply by fractions, whose products are rounded.
TEST(CpuFuzz, ConvolvesByWinogradWithinItsBound) {
  WithScratch<Cpu> cpu;
  fuzz(120, [&](std::mt19937& random) {
    Conv2dShape s;
    s.N = pick(random, {1, 2, 3, 17});
    s.C = pick(random, {16, 32, 48}), s.K = pick(random, {16, 32, 64, 80}), s.R = s.S = 3;
    s.padding = between(random, 0, 2);
    s.H = between(random, 3 - std::min(2, 2 * s.padding), 9);
    s.W = between(random, 3 - std::min(2, 2 * s.padding), 9);
    s.algorithm = Conv2dAlgorithm::winograd;
    const ConvolutionCase c(random, s);
    ConvolutionCase sizes = c;
    for (Integers* operand : {&sizes.x, &sizes.w, &sizes.dy, &sizes.of_bias, &sizes.of_residual})
      *operand = absolutes(*operand);
    const auto got = convolve(cpu, c);
    const auto exact = c.exact(), largest = sizes.exact();
    const double rounding = c.precision.dtype == DType::bf16 ? 0x1p-8 : 0;
    if (worst(got.y, exact.y, largest.y) > rounding + 2e-6) return "y of " + c.text();
    if (worst(got.dx, exact.dx, largest.dx) > rounding + 2e-6) return "dx of " + c.text();
    if (worst(got.dw, exact.dw, largest.dw) > 2e-6) return "dw of " + c.text();
    const bool guarded = got.y.guards_intact() && got.dx.guards_intact() && got.dw.guards_intact();
    return guarded ? std::string() : "written outside the results of " + c.text();
  });
}

// ------------------------------------------------------------------------------------ matrix product

MatmulShape pick_product(std::mt19937& random, std::int64_t most_products) {
  const auto extent = [&] {
    return pick(random, {between(random, 1, 9), between(random, 1, 130), 8 * between(random, 1, 16),
                         64 + between(random, -1, 1), between(random, 1, 700)});
  };
  while (true) {
    const MatmulShape s{extent(), extent(), extent(), between(random, 0, 1) != 0, between(random, 0, 1) != 0};
    if (std::int64_t(s.M) * s.N * s.K <= most_products) return s;
  }
}

Integers product(const MatmulShape& s, const Integers& a, const Integers& b) {
  const auto M = std::size_t(s.M), N = std::size_t(s.N), K = std::size_t(s.K);
  Integers c(M * N);
  for (std::size_t m = 0; m < M; ++m)
    for (std::size_t n = 0; n < N; ++n)
      for (std::size_t k = 0; k < K; ++k)
        c[m * N + n] += a[s.transpose_a ? k * M + m : m * K + k] * b[s.transpose_b ? n * K + k : k * N + n];
  return c;
}

/// What is wrong with the product of one shape, "" if nothing.
template <class Backend>
std::string product_fault(WithScratch<Backend>& backend, std::mt19937& random, const MatmulShape& s) {
  const Precision precision = pick_precision(random);
  const int offset = pick(random, {0, 0, 0, 1, 2});
  const bool with_bias = between(random, 0, 1) != 0;
  const Integers a = random_integers(random, std::int64_t(s.M) * s.K),
                 b = random_integers(random, std::int64_t(s.K) * s.N),
                 bias = random_integers(random, s.N, 50);
  using Array = GuardedArray<Backend>;
  const Array A(a, precision.dtype, offset), B(b, precision.dtype, offset), Bias(bias, DType::f32);
  const Array C(std::int64_t(s.M) * s.N, DType::f32, offset);
  kernels::matmul(backend(), s, precision.math, A.view(), B.view(), with_bias ? Bias.floats() : nullptr,
                  C.floats());
  Integers exact = product(s, a, b);
  for (std::size_t i = 0; with_bias && i < exact.size(); ++i)
    exact[i] += bias[i % std::size_t(s.N)];
  const std::string fault = difference(C, exact);
  if (fault.empty()) return "";
  std::ostringstream text;
  text << fault << "\nof " << name(precision) << " M " << s.M << " N " << s.N << " K " << s.K
       << (s.transpose_a ? " A'" : "") << (s.transpose_b ? " B'" : "") << (with_bias ? " bias" : "")
       << " offset " << offset;
  return text.str();
}

TEST(CpuFuzz, MultipliesMatricesExactly) {
  WithScratch<Cpu> cpu;
  fuzz(600, [&](std::mt19937& random) { return product_fault(cpu, random, pick_product(random, 500'000)); });
}

TEST(MatmulKernelFuzz, MultipliesMatricesExactly) {
  EmulatedDevice emulated;
  fuzz(450,
       [&](std::mt19937& random) { return product_fault(emulated, random, pick_product(random, 100'000)); });
}

}  // namespace
}  // namespace clx::tests
