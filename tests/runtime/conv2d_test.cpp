#include "runtime/ops/conv2d.h"

#include <numeric>

#include "runtime/ops/add.h"
#include "runtime/ops/sgd_step.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/add.h"
#include "tests/reference/conv2d.h"

namespace clx::tests {
namespace {

struct Case {
  int N, H, W, C, K, R, S, stride, padding;
};

Shape image(const Case& c) {
  return {c.N, c.H, c.W, c.C};
}
Shape filters(const Case& c) {
  return {c.K, c.R, c.S, c.C};
}
// Filters whose outputs are about as large as the inputs.
Array scaled_filters(const Case& c, unsigned seed, DType dtype = DType::f32) {
  const double scale = 1 / std::sqrt(c.R * c.S * c.C);
  return uniform(filters(c), seed, -scale, scale, dtype);
}

class Conv2d : public DeviceTest {
 protected:
  static void check(const Case& c, DType dtype = DType::f32, const CheckOptions& options = {}) {
    SCOPED_TRACE(concat("x ", image(c), ", w ", filters(c), ", stride ", c.stride, ", padding ", c.padding));
    check_op(
        device(), {{uniform(image(c), 11, -1, 1, dtype), dtype}, {scaled_filters(c, 12, dtype)}},
        [&](const auto& in) { return conv2d(in[0], in[1], {.stride = c.stride, .padding = c.padding}); },
        [&](const auto& in) {
          return reference::conv2d(in[0], in[1], {.stride = c.stride, .padding = c.padding});
        },
        options);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2d, every_device(), device_name);

TEST_P(Conv2d, MatchesReferenceOnOnePixel) {
  check({1, 1, 1, 1, 1, 1, 1, 1, 0});
  check({2, 1, 1, 5, 3, 1, 1, 1, 0});
  check({1, 1, 1, 3, 2, 3, 3, 1, 1});
}

TEST_P(Conv2d, MatchesReferenceOnOddSizes) {
  check({2, 7, 5, 3, 5, 3, 3, 1, 1});
  check({3, 5, 11, 7, 13, 3, 3, 1, 0});
  check({1, 9, 7, 4, 6, 5, 5, 1, 2});
}

TEST_P(Conv2d, MatchesReferenceOnFiltersThatAreNotSquare) {
  check({2, 6, 7, 3, 4, 1, 3, 1, 0});
  check({2, 6, 7, 3, 4, 3, 1, 1, 1});
  check({1, 8, 9, 2, 3, 2, 4, 2, 1});
}

TEST_P(Conv2d, MatchesReferenceOnePastATile) {
  check({1, 3, 11, 33, 17, 1, 1, 1, 0});
  check({1, 5, 13, 17, 33, 3, 3, 1, 1});
  check({1, 3, 3, 65, 65, 1, 1, 1, 0});
  check({1, 2, 3, 5, 129, 3, 3, 1, 1});
  check({1, 2, 2, 129, 3, 1, 1, 1, 0});
}

TEST_P(Conv2d, MatchesReferenceOnEverySmallStrideAndPadding) {
  for (const int stride : {1, 2, 3})
    for (const int padding : {0, 1, 2})
      check({1, 7, 6, 2, 3, 3, 3, stride, padding});
}

TEST_P(Conv2d, LeavesOutPixelsThatNoWindowReaches) {
  check({1, 6, 8, 2, 3, 1, 1, 2, 0});   // the shortcut of a residual block
  check({1, 8, 11, 2, 3, 3, 3, 4, 0});  // gaps between windows, and rows below the last one
  check({2, 4, 4, 3, 2, 2, 2, 3, 0});
}

TEST_P(Conv2d, MatchesReferenceWhereTheWindowIsTheWholeImage) {
  check({2, 5, 4, 3, 2, 5, 4, 1, 0});
  check({2, 2, 2, 3, 2, 4, 4, 1, 1});
  check({1, 2, 3, 2, 2, 3, 3, 2, 2});  // padding as wide as the image
}

TEST_P(Conv2d, MatchesReferenceOnTheStemOfAResNet) {
  check({1, 15, 13, 3, 8, 7, 7, 2, 3});
}

TEST_P(Conv2d, MatchesReferenceInBf16) {
  // Sums in f32 of exact products: only the result is rounded.
  check({2, 7, 5, 3, 5, 3, 3, 1, 1}, DType::bf16);
  check({1, 5, 6, 17, 33, 3, 3, 2, 1}, DType::bf16);
  check({1, 3, 3, 64, 65, 1, 1, 1, 0}, DType::bf16);
}

TEST_P(Conv2d, IsExactOnSmallIntegers) {
  for (const Case& c : {Case{2, 6, 5, 16, 33, 3, 3, 1, 1}, Case{1, 9, 9, 33, 16, 3, 3, 2, 1},
                        Case{2, 5, 7, 65, 8, 1, 1, 2, 0},
                        // As many channels as H100 wants for its own instructions; not for Winograd's.
                        Case{1, 12, 11, 64, 64, 3, 2, 1, 1}, Case{5, 4, 3, 64, 128, 1, 1, 1, 0},
                        Case{2, 6, 5, 64, 64, 3, 3, 2, 1}})
    for (const DType dtype : {DType::f32, DType::bf16}) {
      SCOPED_TRACE(concat("x ", image(c), ", w ", filters(c), " in ", name_of(dtype)));
      const Array x = integers(image(c), 21, 1), w = integers(filters(c), 22, 1);
      Tensor in = to_tensor(x, device(), dtype), leaf = to_tensor(w, device());
      leaf.require_grad();
      const Tensor y = conv2d(in.require_grad(), leaf, {.stride = c.stride, .padding = c.padding});
      const Array expected = reference::conv2d(x, w, {.stride = c.stride, .padding = c.padding});
      ASSERT_LT(*std::ranges::max_element(expected.values), 256);  // exact in bf16, too
      EXPECT_TRUE(all_close(to_array(y), expected, {})) << "values";

      const Array dy = integers(expected.shape, 23, 1);
      const auto gradients = grad(y, {in, leaf}, {.dy = to_tensor(dy, device(), dtype)});
      // The gradient is linear in dy and exact: check it against the same sums with x and w exchanged.
      Array dx(x.shape), dw(w.shape);
      for (std::int64_t n = 0; n < dy.dim(0); ++n)
        for (std::int64_t p = 0; p < dy.dim(1); ++p)
          for (std::int64_t q = 0; q < dy.dim(2); ++q)
            for (std::int64_t k = 0; k < dy.dim(3); ++k)
              for (std::int64_t r = 0; r < c.R; ++r)
                for (std::int64_t s = 0; s < c.S; ++s) {
                  const std::int64_t h = p * c.stride + r - c.padding, v = q * c.stride + s - c.padding;
                  if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
                  for (std::int64_t channel = 0; channel < c.C; ++channel) {
                    dx(n, h, v, channel) += dy(n, p, q, k) * w(k, r, s, channel);
                    dw(k, r, s, channel) += dy(n, p, q, k) * x(n, h, v, channel);
                  }
                }
      ASSERT_LT(*std::ranges::max_element(dx.values), 256);
      EXPECT_TRUE(all_close(to_array(gradients[0]), dx, {})) << "dx";
      EXPECT_TRUE(all_close(to_array(gradients[1]), dw, {})) << "dw";
    }
}

TEST_P(Conv2d, AddsItsGradientToThoseOfOtherUses) {
  check_op(  // x goes round a convolution …
      device(), {{uniform({2, 5, 6, 16}, 11)}, {uniform({16, 3, 3, 16}, 12, -0.1, 0.1)}},
      [](const auto& in) { return add(conv2d(in[0], in[1], {.padding = 1}), in[0]); },
      [](const auto& in) { return reference::add(reference::conv2d(in[0], in[1], {.padding = 1}), in[0]); });
  check_op(  // … or through two, of which one leaves out pixels.
      device(),
      {{uniform({2, 7, 6, 8}, 11)},
       {uniform({5, 3, 3, 8}, 12, -0.1, 0.1)},
       {uniform({5, 1, 1, 8}, 13, -0.3, 0.3)}},
      [](const auto& in) {
        return add(conv2d(in[0], in[1], {.stride = 2, .padding = 1}), conv2d(in[0], in[2], {.stride = 2}));
      },
      [](const auto& in) {
        return reference::add(reference::conv2d(in[0], in[1], {.stride = 2, .padding = 1}),
                              reference::conv2d(in[0], in[2], {.stride = 2}));
      });
}

TEST_P(Conv2d, Tf32IsCloseToF32) {
  // Operands may be rounded to 10 mantissa bits: 2⁻¹¹ relative for each factor of each product.
  const CheckOptions options{.f32 = {2e-3, 1e-3}};
  const Case c{1, 6, 5, 16, 17, 3, 3, 1, 1};
  check_op(
      device(), {{uniform(image(c), 11)}, {scaled_filters(c, 12)}},
      [](const auto& in) { return conv2d(in[0], in[1], {.padding = 1, .tf32 = true}); },
      [](const auto& in) { return reference::conv2d(in[0], in[1], {.padding = 1}); }, options);
}

TEST(Conv2dAlgorithms, WinogradMatchesTheReferenceOnTheCpu) {
  for (const int padding : {0, 1, 2})
    check_op(
        kCpu, {{uniform({1, 5, 6, 16}, 11)}, {uniform({16, 3, 3, 16}, 12, -0.1, 0.1)}},
        [&](const auto& in) {
          return conv2d(in[0], in[1], {.padding = padding, .algorithm = Conv2dAlgorithm::winograd});
        },
        [&](const auto& in) { return reference::conv2d(in[0], in[1], {.padding = padding}); });
}

TEST(Conv2dAlgorithms, ThatADeviceDoesNotKnowAreRefused) {
  const auto refuses = [](Device device, Conv2dAlgorithm algorithm, const std::string& text) {
    const Tensor x = Tensor::zeros({1, 4, 4, 1}, device), w = Tensor::zeros({1, 3, 3, 1}, device);
    for (const auto& call : {std::function<void()>([&] { conv2d(x, w, {.algorithm = algorithm}); }),
                             std::function<void()>([&] { require_conv2d_algorithm(algorithm, device); })})
      try {
        call();
        ADD_FAILURE() << "expected: " << text;
      } catch (const Error& error) {
        EXPECT_EQ(error.what(), text);
      }
  };
  refuses(kCpu, Conv2dAlgorithm::cudnn, "conv: expected auto, direct or winograd on cpu, got cudnn");
  refuses(kCpu, Conv2dAlgorithm::custom, "conv: expected auto, direct or winograd on cpu, got custom");
  refuses(kEmulated, Conv2dAlgorithm::cudnn, "conv: expected auto or custom on emulated, got cudnn");
  refuses(kEmulated, Conv2dAlgorithm::winograd, "conv: expected auto or custom on emulated, got winograd");
  const Device gpu{DeviceKind::cuda, 0};
  EXPECT_THROW(require_conv2d_algorithm(Conv2dAlgorithm::direct, gpu), Error);
  EXPECT_NO_THROW(require_conv2d_algorithm(Conv2dAlgorithm::custom, gpu));
}

TEST(Conv2dAlgorithms, CustomIsWhatAutoIsOnAGpu) {
  const Tensor x = to_tensor(uniform({1, 4, 5, 3}, 1), kEmulated),
               w = to_tensor(uniform({2, 3, 3, 3}, 2), kEmulated);
  EXPECT_TRUE(same_bits(conv2d(x, w, {.algorithm = Conv2dAlgorithm::custom}), conv2d(x, w)));
}

TEST(Conv2dAlgorithms, AreThoseOfTheCallElseOfTheProcess) {
  const Tensor x = to_tensor(uniform({1, 8, 8, 32}, 1), kCpu),
               w = to_tensor(uniform({32, 3, 3, 32}, 2), kCpu);
  const auto by = [&](Conv2dAlgorithm algorithm) {
    return conv2d(x, w, {.padding = 1, .algorithm = algorithm});
  };
  const Tensor direct = by(Conv2dAlgorithm::direct), winograd = by(Conv2dAlgorithm::winograd);
  EXPECT_FALSE(same_bits(direct, winograd));
  EXPECT_TRUE(same_bits(by(Conv2dAlgorithm::automatic), winograd));
  set_conv2d_algorithm(Conv2dAlgorithm::direct);
  EXPECT_TRUE(same_bits(by(Conv2dAlgorithm::automatic), direct));
  EXPECT_TRUE(same_bits(by(Conv2dAlgorithm::winograd), winograd));
  set_conv2d_algorithm(Conv2dAlgorithm::automatic);
}

TEST_P(Conv2d, AddsBiasAndResidualAndReluInThePass) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (int parts = 1; parts < 8; ++parts) {
      const bool bias = parts & 1, residual = parts & 2, relu = parts & 4;
      SCOPED_TRACE(concat("bias ", bias, ", residual ", residual, ", relu ", relu, ", ", name_of(dtype)));
      const Case c{2, 5, 7, 3, 9, 3, 3, 2, 1};
      std::vector<Input> inputs{{uniform(image(c), 1, -1, 1, dtype), dtype, false},
                                {scaled_filters(c, 2, dtype), DType::f32, false},
                                {uniform({c.K}, 3), DType::f32, false},
                                {uniform({2, 3, 4, c.K}, 4, -1, 1, dtype), dtype, false}};
      check_op(
          device(), inputs,
          [&](const auto& in) {
            return conv2d(in[0], in[1],
                          {.stride = 2,
                           .padding = 1,
                           .bias = bias ? in[2] : Tensor(),
                           .residual = residual ? in[3] : Tensor(),
                           .relu = relu});
          },
          [&](const auto& in) {
            return reference::conv2d(in[0], in[1],
                                     {.stride = 2,
                                      .padding = 1,
                                      .bias = bias ? in[2] : Array(),
                                      .residual = residual ? in[3] : Array(),
                                      .relu = relu});
          });
    }
}

TEST_P(Conv2d, GivesTheSameBitsForAnImageInAnyBatch) {
  const Tensor x = to_tensor(uniform({5, 6, 7, 16}, 1), device());
  const Tensor w = to_tensor(uniform({17, 3, 3, 16}, 2), device());
  const Tensor y = conv2d(x, w, {.padding = 1});
  for (int n = 0; n < 5; ++n)
    EXPECT_TRUE(same_bits(conv2d(x.slice(n, n + 1), w, {.padding = 1}), y.slice(n, n + 1))) << "image " << n;
}

TEST_P(Conv2d, ComputesOnlyTheGradientsThatAreWanted) {
  Tensor x = to_tensor(uniform({1, 4, 4, 2}, 1), device()), w = to_tensor(uniform({3, 3, 3, 2}, 2), device());
  backward(conv2d(x, w.require_grad()).slice(0, 1).reshape({2 * 2 * 3}).slice(0, 1));
  EXPECT_TRUE(w.grad().defined());
  EXPECT_FALSE(x.grad().defined());
}

TEST_P(Conv2d, RoundsFiltersAnewAfterTheyWereWritten) {
  const Array image = integers({1, 3, 3, 2}, 1);
  const Tensor x = to_tensor(image, device(), DType::bf16);
  std::vector<Tensor> w{Tensor::zeros({1, 3, 3, 2}, device())}, buffers;
  const Tensor y = conv2d(x, w[0].require_grad());
  EXPECT_EQ(to_array(y)[0], 0);
  backward(y);  // dw = x
  Step step(device());
  step.set_learning_rate(1);
  sgd_step(w, buffers, step, {});
  const double squares =
      std::inner_product(image.values.begin(), image.values.end(), image.values.begin(), 0.0);
  EXPECT_EQ(to_array(conv2d(x, w[0]))[0], -squares);
}

TEST_P(Conv2d, RoundsASliceOfFiltersAndTheWholeSeparately) {
  const Array x = uniform({1, 3, 3, 2}, 1, -1, 1, DType::bf16);
  const Array w = uniform({40, 3, 3, 2}, 2, -1, 1, DType::bf16);
  const Tensor in = to_tensor(x, device(), DType::bf16), filters = to_tensor(w, device());
  const Array expected = reference::conv2d(x, w);
  const CheckOptions options;
  EXPECT_EQ(conv2d(in, filters.slice(0, 1)).size(), 1);
  EXPECT_TRUE(all_close(to_array(conv2d(in, filters)), expected, options.bf16));
}

TEST_P(Conv2d, RefusesWhatDoesNotFit) {
  const auto f32 = [](Shape shape) { return Tensor::zeros(std::move(shape), device()); };
  const Tensor x = f32({1, 4, 4, 3}), w = f32({2, 3, 3, 3});
  EXPECT_THROW(conv2d(x, f32({2, 3, 3, 4})), Error) << "C differs";
  EXPECT_THROW(conv2d(f32({0, 4, 4, 3}), w), Error) << "an empty batch";
  EXPECT_THROW(conv2d(f32({1, 2, 4, 3}), w), Error) << "a window higher than the image";
  EXPECT_THROW(conv2d(f32({1, 4, 2, 3}), w), Error) << "a window wider than the image";
  EXPECT_NO_THROW(conv2d(f32({1, 2, 2, 3}), w, {.padding = 1}));
  EXPECT_THROW(conv2d(x, w, {.stride = 0}), Error);
  EXPECT_THROW(conv2d(x, w, {.padding = -1}), Error);
  EXPECT_THROW(conv2d(f32({4, 4, 3}), w), Error) << "three axes";
  EXPECT_THROW(conv2d(Tensor(), w), Error);
  EXPECT_THROW(conv2d(x, Tensor()), Error);
  EXPECT_THROW(conv2d(Tensor::zeros({1, 4, 4, 3}, device(), DType::u8), w), Error);
  EXPECT_THROW(conv2d(x, Tensor::zeros({2, 3, 3, 3}, device(), DType::bf16)), Error) << "rounded filters";
  EXPECT_THROW(conv2d(x, w, {.bias = f32({3})}), Error);
  EXPECT_THROW(conv2d(x, w, {.residual = f32({1, 4, 4, 2})}), Error);
}

TEST_P(Conv2d, RefusesAnEpilogueThatWouldNeedAGradient) {
  const Tensor x = Tensor::zeros({1, 4, 4, 3}, device());
  Tensor w = Tensor::zeros({2, 3, 3, 3}, device()), bias = Tensor::zeros({2}, device());
  w.require_grad();
  EXPECT_THROW(conv2d(x, w, {.relu = true}), Error);
  EXPECT_THROW(conv2d(x, w.detach(), {.bias = bias.require_grad()}), Error);
  const NoGrad no_grad;
  EXPECT_NO_THROW(conv2d(x, w, {.bias = bias, .relu = true}));
}

TEST(Conv2dErrors, NameBothNumbersOfChannels) {
  try {
    conv2d(Tensor::zeros({1, 4, 4, 3}), Tensor::zeros({2, 3, 3, 64}));
    FAIL() << "expected an error";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "conv2d: expected C=64 input channels, got 3");
  }
}

TEST(Conv2dErrors, RefuseOperandsOnTwoDevices) {
  EXPECT_THROW(conv2d(Tensor::zeros({1, 4, 4, 3}), Tensor::zeros({2, 3, 3, 3}, kEmulated)), Error);
}

}  // namespace
}  // namespace clx::tests
