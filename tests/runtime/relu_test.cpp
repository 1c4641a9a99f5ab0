#include "runtime/ops/relu.h"

#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/relu.h"

namespace clx::tests {
namespace {

class Relu : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Relu, every_device(), device_name);

// Around the widths of vectors, warps and blocks, and larger than one block's work.
const std::vector<Shape> kShapes{{}, {1}, {3}, {7, 5}, {31}, {33}, {2, 3, 4, 5}, {257}, {1025}, {4099}};

TEST_P(Relu, MatchesReferenceAtEverySize) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : kShapes) {
      Array x =
          shape.size() <= 256 || dtype == DType::f32 ? spaced(shape, 3) : uniform(shape, 3, 0.5, 1, dtype);
      if (dtype == DType::bf16)
        for (std::int64_t i = 0; i < x.size(); i += 3)
          x[i] = -x[i];
      check_op(
          device(), {{map_to(dtype, x), dtype}}, [](const auto& in) { return relu(in[0]); },
          [](const auto& in) { return reference::relu(in[0]); });
    }
}

TEST_P(Relu, HasNoGradientAtZero) {
  Tensor x = Tensor::from_host({4}, std::vector<float>{-1, -0.0f, 0, 2}, device());
  const Tensor y = relu(x.require_grad());
  EXPECT_EQ(y.to_host(), (std::vector<float>{0, 0, 0, 2}));
  EXPECT_EQ(grad(y, {x})[0].to_host(), (std::vector<float>{0, 0, 0, 1}));
}

TEST_P(Relu, KeepsNanAndInfinity) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::vector<float> y =
      relu(Tensor::from_host({3}, std::vector<float>{nan, inf, -inf}, device())).to_host();
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], inf);
  EXPECT_EQ(y[2], 0);
}

TEST_P(Relu, RefusesWhatIsNotFloating) {
  EXPECT_THROW(relu(Tensor::zeros({2}, device(), DType::u8)), Error);
  EXPECT_THROW(relu(Tensor()), Error);
}

}  // namespace
}  // namespace clx::tests
