// Convolutions and products by NVIDIA's libraries beside our kernels, on a GPU.
#include "runtime/ops/conv2d.h"
#include "runtime/ops/linear.h"
#include "tests/check_op.h"
#include "tests/reference/conv2d.h"

namespace clx::tests {
namespace {

constexpr Device kGpu{DeviceKind::cuda, 0};

class Libraries : public testing::Test {
 protected:
  void SetUp() override {
    if (!available(DeviceKind::cuda)) GTEST_SKIP() << "needs a GPU and a build with kernels for it";
  }
  // Skips where the library is missing.
  template <class F>
  static bool missing(F&& require) {
    try {
      require();
      return false;
    } catch (const std::exception& error) {
      std::cout << error.what() << '\n';
      return true;
    }
  }
};

TEST_F(Libraries, CudnnConvolvesAsTheReference) {
  if (missing([] { require_conv2d_algorithm(Conv2dAlgorithm::cudnn, kGpu); })) GTEST_SKIP() << "no cuDNN";
  struct Case {
    Shape x, w;
    int stride, padding;
  };
  for (const Case& c : {Case{{4, 9, 8, 16}, {24, 3, 3, 16}, 1, 1}, Case{{2, 11, 13, 3}, {8, 7, 7, 3}, 2, 3},
                        Case{{3, 8, 8, 32}, {16, 1, 1, 32}, 2, 0}})
    for (const DType dtype : {DType::f32, DType::bf16})
      for (const bool tf32 : {false, true}) {
        SCOPED_TRACE(concat("x ", c.x, ", w ", c.w, ", ", name_of(dtype), tf32 ? ", tf32" : ""));
        // In f32 the library may choose Winograd's algorithm: sums of sums, with some ten times the
        // roundings. dw of bf16 images is rounded to bf16; tf32 rounds each factor to 10 bits.
        CheckOptions options{.f32 = {1e-4, 1e-5}};
        if (dtype == DType::bf16) options.f32 = {1e-3, 1.0 / 256};
        if (dtype == DType::f32 && tf32) options.f32 = {1e-2, 2e-3};
        check_op(
            kGpu, {{uniform(c.x, 1, -1, 1, dtype), dtype}, {uniform(c.w, 2, -0.1, 0.1, dtype)}},
            [&](const auto& in) {
              return conv2d(in[0], in[1],
                            {.stride = c.stride,
                             .padding = c.padding,
                             .tf32 = tf32,
                             .algorithm = Conv2dAlgorithm::cudnn});
            },
            [&](const auto& in) {
              return reference::conv2d(in[0], in[1], {.stride = c.stride, .padding = c.padding});
            },
            options);
      }
}

TEST_F(Libraries, CudnnAndCustomAgreeWithAnEpilogue) {
  if (missing([] { require_conv2d_algorithm(Conv2dAlgorithm::cudnn, kGpu); })) GTEST_SKIP() << "no cuDNN";
  const NoGrad no_grad;
  const Tensor x = to_tensor(uniform({2, 6, 5, 16}, 1), kGpu),
               w = to_tensor(uniform({24, 3, 3, 16}, 2), kGpu), bias = to_tensor(uniform({24}, 3), kGpu),
               residual = to_tensor(uniform({2, 6, 5, 24}, 4), kGpu);
  const auto by = [&](Conv2dAlgorithm algorithm) {
    return to_array(conv2d(
        x, w, {.padding = 1, .algorithm = algorithm, .bias = bias, .residual = residual, .relu = true}));
  };
  EXPECT_TRUE(all_close(by(Conv2dAlgorithm::cudnn), by(Conv2dAlgorithm::custom), {1e-4, 1e-5}));
}

TEST_F(Libraries, CublasMultipliesAsCustom) {
  if (missing([] { require_matmul_algorithm(MatmulAlgorithm::cublas, kGpu); })) GTEST_SKIP() << "no cuBLAS";
  const NoGrad no_grad;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (int parts = 0; parts < 4; ++parts) {
      const bool ta = parts & 1, tb = parts & 2;
      const Tensor a = to_tensor(uniform(ta ? Shape{40, 24} : Shape{24, 40}, 1, -1, 1, dtype), kGpu, dtype),
                   b = to_tensor(uniform(tb ? Shape{56, 40} : Shape{40, 56}, 2, -1, 1, dtype), kGpu, dtype);
      const auto by = [&](MatmulAlgorithm algorithm) {
        return to_array(matmul(a, b, {.transpose_a = ta, .transpose_b = tb, .algorithm = algorithm}));
      };
      EXPECT_TRUE(all_close(by(MatmulAlgorithm::cublas), by(MatmulAlgorithm::custom), {1e-4, 1e-5}));
    }
  const Tensor x = to_tensor(uniform({9, 40}, 1), kGpu), w = to_tensor(uniform({10, 40}, 2), kGpu),
               bias = to_tensor(uniform({10}, 3), kGpu);
  EXPECT_TRUE(all_close(to_array(linear(x, w, bias, {.algorithm = MatmulAlgorithm::cublas})),
                        to_array(linear(x, w, bias, {.algorithm = MatmulAlgorithm::custom})), {1e-4, 1e-5}));
}

}  // namespace
}  // namespace clx::tests
