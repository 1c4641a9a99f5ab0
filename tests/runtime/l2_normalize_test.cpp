#include "runtime/ops/l2_normalize.h"

#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/l2_normalize.h"

namespace clx::tests {
namespace {

class L2Normalize : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, L2Normalize, every_device(), device_name);

TEST_P(L2Normalize, MatchesReferenceAtEverySize) {
  for (const Shape& shape :
       std::vector<Shape>{{1, 1}, {1, 2}, {3, 7}, {2, 31}, {5, 32}, {2, 33}, {37, 128}, {4, 513}}) {
    SCOPED_TRACE(concat(shape));
    check_op(
        device(), {{uniform(shape, 1)}}, [](const auto& in) { return l2_normalize(in[0]); },
        [](const auto& in) { return reference::l2_normalize(in[0]); });
  }
}

TEST_P(L2Normalize, HasTheSameDirectionAtAnyLength) {
  const Array x = uniform({4, 19}, 1);
  const Array expected = reference::l2_normalize(x);
  for (const double scale : {1e-11, 1e-4, 1e4, 1e25}) {  // squares that f32 cannot hold at the ends
    Array scaled = x;
    for (double& value : scaled.values)
      value *= scale;
    EXPECT_TRUE(all_close(to_array(l2_normalize(to_tensor(scaled, device()))), expected, {1e-6, 1e-6}))
        << scale;
  }
}

TEST_P(L2Normalize, DividesRowsOfNoLengthByTheSmallestDivisor) {
  Tensor x = Tensor::from_host({3, 2}, std::vector<float>{0, 0, 3e-13f, 4e-13f, 3, 4}, device());
  const Tensor y = l2_normalize(x.require_grad());
  EXPECT_TRUE(all_close(to_array(y), Array({3, 2}, {0, 0, 0.3, 0.4, 0.6, 0.8}), {0, 1e-6}));
  const Tensor dy = Tensor::from_host({3, 2}, std::vector<float>{1, -2, 1, -2, 1, -2}, device());
  const Array dx = to_array(grad(y, {x}, {.dy = dy})[0]);
  EXPECT_TRUE(all_close(dx, Array({3, 2}, {1e12, -2e12, 1e12, -2e12, 0.32, -0.24}), {0, 1e-6}))
      << "no projection where the length is not the divisor";
}

TEST_P(L2Normalize, HasAGradientAcrossItsRows) {
  Tensor x = to_tensor(uniform({6, 40}, 1), device());
  const Tensor y = l2_normalize(x.require_grad());
  const Array dx = to_array(grad(y, {x}, {.dy = to_tensor(uniform({6, 40}, 2), device())})[0]);
  for (int i = 0; i < 6; ++i) {
    double along = 0;
    for (int j = 0; j < 40; ++j)
      along += dx(i, j) * to_array(x)(i, j);
    EXPECT_NEAR(along, 0, 1e-6) << "row " << i;
  }
}

TEST_P(L2Normalize, IsNotFiniteIfARowIsNot) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> y =
      l2_normalize(Tensor::from_host({2, 2}, std::vector<float>{nan, 1, 3, 4}, device())).to_host();
  EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]));
  EXPECT_FLOAT_EQ(y[2], 0.6f);
}

TEST_P(L2Normalize, RefusesWhatIsNotAMatrixOfF32) {
  EXPECT_THROW(l2_normalize(Tensor::zeros({2, 3, 4}, device())), Error);
  EXPECT_THROW(l2_normalize(Tensor::zeros({0, 3}, device())), Error) << "an empty batch";
  EXPECT_THROW(l2_normalize(Tensor::zeros({3, 0}, device())), Error) << "no columns";
  EXPECT_THROW(l2_normalize(Tensor::zeros({2, 3}, device(), DType::bf16)), Error);
  EXPECT_THROW(l2_normalize(Tensor()), Error);
}

}  // namespace
}  // namespace clx::tests
