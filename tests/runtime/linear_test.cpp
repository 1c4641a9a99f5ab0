#include "runtime/ops/linear.h"

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/matmul.h"

namespace clx::tests {
namespace {

struct Case {
  int M, N, K;
};

class Matmul : public DeviceTest {
 protected:
  static Shape shape_a(const Case& c, bool transposed) {
    return transposed ? Shape{c.K, c.M} : Shape{c.M, c.K};
  }
  static Shape shape_b(const Case& c, bool transposed) {
    return transposed ? Shape{c.N, c.K} : Shape{c.K, c.N};
  }
  // All four ways to store the operands, their values scaled so that the products are about 1.
  static void check(const Case& c, DType dtype = DType::f32, const MatmulOptions& options = {}) {
    const double scale = 1 / std::sqrt(c.K);
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        SCOPED_TRACE(
            concat("M ", c.M, ", N ", c.N, ", K ", c.K, ", transposed ", ta, " ", tb, ", ", name_of(dtype)));
        const bool differentiable = dtype == DType::f32;
        check_op(
            device(),
            {{uniform(shape_a(c, ta), 1, -1, 1, dtype), dtype, differentiable},
             {uniform(shape_b(c, tb), 2, -scale, scale, dtype), dtype, differentiable}},
            [&](const auto& in) {
              return matmul(in[0], in[1], {.transpose_a = ta, .transpose_b = tb, .tf32 = options.tf32});
            },
            [&](const auto& in) { return reference::matmul(in[0], in[1], ta, tb); },
            // tf32 rounds operands to 10 mantissa bits: 2⁻¹¹ relative for each factor of each product.
            {.f32 = options.tf32 ? Tolerance{2e-3, 1e-3} : Tolerance{1e-5, 1e-5}});
      }
  }
};
class Linear : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Matmul, every_device(), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, Linear, every_device(), device_name);

TEST_P(Matmul, MatchesReferenceOnVectorsAndScalars) {
  check({1, 1, 1});
  check({1, 1, 37});
  check({1, 19, 5});
  check({23, 1, 3});
  check({11, 13, 1});
}

TEST_P(Matmul, MatchesReferenceOnOddSizes) {
  check({7, 5, 3});
  check({13, 31, 17});
}

TEST_P(Matmul, MatchesReferenceOnePastATile) {
  check({33, 17, 33});
  check({5, 65, 9});
  check({65, 3, 17});
  check({3, 129, 5});
  check({129, 2, 3});
  check({2, 3, 129});
  check({17, 17, 65});
}

TEST_P(Matmul, MatchesReferenceInBf16) {
  check({7, 5, 3}, DType::bf16);
  check({33, 17, 33}, DType::bf16);
  check({3, 65, 129}, DType::bf16);
}

TEST_P(Matmul, Tf32IsCloseToF32) {
  check({17, 33, 32}, DType::f32, {.tf32 = true});
}

TEST_P(Matmul, IsExactOnSmallIntegers) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const bool tf32 : {false, true})
      for (const Case& c : {Case{33, 65, 17}, Case{17, 9, 257}})
        for (int transposed = 0; transposed < 4; ++transposed) {
          const bool ta = transposed & 1, tb = transposed & 2;
          const Array a = integers(shape_a(c, ta), 3), b = integers(shape_b(c, tb), 4);
          const Tensor product = matmul(to_tensor(a, device(), dtype), to_tensor(b, device(), dtype),
                                        {.transpose_a = ta, .transpose_b = tb, .tf32 = tf32});
          EXPECT_TRUE(all_close(to_array(product), reference::matmul(a, b, ta, tb), {}))
              << name_of(dtype) << ", transposed " << ta << " " << tb << ", tf32 " << tf32;
        }
}

TEST_P(Matmul, MultipliesAMatrixByItself) {
  check_op(
      device(), {{uniform({6, 6}, 1)}}, [](const auto& in) { return matmul(in[0], in[0]); },
      [](const auto& in) { return reference::matmul(in[0], in[0]); });
}

TEST_P(Matmul, RefusesWhatDoesNotFit) {
  const auto f32 = [](Shape shape) { return Tensor::zeros(std::move(shape), device()); };
  EXPECT_THROW(matmul(f32({2, 3}), f32({2, 3})), Error) << "inner extents";
  EXPECT_NO_THROW(matmul(f32({2, 3}), f32({2, 3}), {.transpose_a = true}));
  EXPECT_NO_THROW(matmul(f32({2, 3}), f32({2, 3}), {.transpose_b = true}));
  EXPECT_THROW(matmul(f32({2, 3}), f32({3, 2}), {.transpose_a = true, .transpose_b = false}), Error);
  EXPECT_THROW(matmul(f32({2, 3}), Tensor::zeros({3, 2}, device(), DType::bf16)), Error) << "dtypes";
  EXPECT_THROW(matmul(f32({2, 3}), f32({3})), Error) << "a vector";
  EXPECT_THROW(matmul(f32({0, 3}), f32({3, 2})), Error) << "no rows";
  EXPECT_THROW(matmul(f32({2, 3}), Tensor()), Error);
  Tensor a = Tensor::zeros({2, 2}, device(), DType::bf16);
  a.require_grad();
  EXPECT_THROW(matmul(a, a), Error) << "a gradient in bf16";
}

TEST(MatmulErrors, RefuseOperandsOnTwoDevices) {
  EXPECT_THROW(matmul(Tensor::zeros({2, 2}), Tensor::zeros({2, 2}, kEmulated)), Error);
}

TEST_P(Linear, MatchesReferenceWithAndWithoutBias) {
  for (const Case& c : {Case{1, 1, 1}, Case{5, 3, 7}, Case{2, 10, 64}, Case{33, 17, 65}, Case{3, 129, 5}}) {
    SCOPED_TRACE(concat("N ", c.M, ", K ", c.N, ", D ", c.K));
    const double scale = 1 / std::sqrt(c.K);
    const Input x{uniform({c.M, c.K}, 1)}, w{uniform({c.N, c.K}, 2, -scale, scale)}, b{uniform({c.N}, 3)};
    check_op(
        device(), {x, w, b}, [](const auto& in) { return linear(in[0], in[1], in[2]); },
        [](const auto& in) { return reference::linear(in[0], in[1], in[2]); });
    check_op(
        device(), {x, w}, [](const auto& in) { return linear(in[0], in[1], {}); },
        [](const auto& in) { return reference::linear(in[0], in[1], {}); });
  }
}

TEST_P(Linear, SumsALongBatchForTheBias) {
  check_op(
      device(), {{uniform({1025, 2}, 1)}, {uniform({3, 2}, 2)}, {uniform({3}, 3)}},
      [](const auto& in) { return linear(in[0], in[1], in[2]); },
      [](const auto& in) { return reference::linear(in[0], in[1], in[2]); },
      {.f32 = {3e-5, 1e-5}});  // sums of 1025 terms in f32
}

TEST_P(Linear, GivesTheSameBitsForARowInAnyBatch) {
  const Tensor x = to_tensor(uniform({99, 65}, 1), device()), w = to_tensor(uniform({11, 65}, 2), device());
  const Tensor y = linear(x, w, {});
  for (const int n : {0, 17, 96, 98})
    for (const int batch : {1, 2, 15, 16, 33}) {
      const int begin = std::min(n, 99 - batch);
      EXPECT_TRUE(same_bits(linear(x.slice(begin, begin + batch), w, {}), y.slice(begin, begin + batch)))
          << "rows from " << begin << " in a batch of " << batch;
    }
}

TEST_P(Linear, RefusesWhatDoesNotFit) {
  const auto f32 = [](Shape shape) { return Tensor::zeros(std::move(shape), device()); };
  const Tensor x = f32({2, 3}), w = f32({4, 3});
  EXPECT_NO_THROW(linear(x, w, f32({4})));
  EXPECT_THROW(linear(x, f32({3, 4}), {}), Error) << "D differs";
  EXPECT_THROW(linear(x, w, f32({3})), Error) << "K differs";
  EXPECT_THROW(linear(f32({0, 3}), w, {}), Error) << "an empty batch";
  EXPECT_THROW(linear(f32({3}), w, {}), Error);
  EXPECT_THROW(linear(Tensor(), w, {}), Error);
  EXPECT_THROW(linear(x, Tensor(), {}), Error);
  EXPECT_THROW(linear(Tensor::zeros({2, 3}, device(), DType::bf16), w, {}), Error);
}

TEST(MatmulAlgorithms, ThatADeviceDoesNotKnowAreRefused) {
  const auto refuses = [](Device device, MatmulAlgorithm algorithm, const std::string& text) {
    const Tensor a = Tensor::zeros({2, 2}, device);
    for (const auto& call : {std::function<void()>([&] { matmul(a, a, {.algorithm = algorithm}); }),
                             std::function<void()>([&] { linear(a, a, {}, {.algorithm = algorithm}); }),
                             std::function<void()>([&] { require_matmul_algorithm(algorithm, device); })})
      try {
        call();
        ADD_FAILURE() << "expected: " << text;
      } catch (const Error& error) {
        EXPECT_EQ(error.what(), text);
      }
  };
  refuses(kCpu, MatmulAlgorithm::cublas, "matmul: expected auto on cpu, got cublas");
  refuses(kCpu, MatmulAlgorithm::custom, "matmul: expected auto on cpu, got custom");
  refuses(kEmulated, MatmulAlgorithm::cublas, "matmul: expected auto or custom on emulated, got cublas");
}

TEST(MatmulAlgorithms, OfTheProcessAreForTheDevicesThatKnowThem) {
  const Tensor a = Tensor::full({2, 2}, 1), b = Tensor::full({2, 2}, 1, kEmulated);
  for (const auto algorithm : {MatmulAlgorithm::custom, MatmulAlgorithm::cublas}) {
    set_matmul_algorithm(algorithm);
    EXPECT_EQ(to_array(matmul(a, a)).values, to_array(matmul(b, b)).values);
  }
  set_matmul_algorithm(MatmulAlgorithm::automatic);
}

}  // namespace
}  // namespace clx::tests
