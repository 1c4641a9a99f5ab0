#include "runtime/ops/convert.h"

#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

class Convert : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Convert, every_device(), device_name);

// Around the widths of vectors, warps and blocks, and larger than one block's work.
const std::vector<Shape> kShapes{{}, {1}, {3}, {7, 5}, {31}, {33}, {2, 3, 4, 5}, {257}, {1025}, {4099}};

TEST_P(Convert, RoundsToNearestEven) {
  // 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷; 1 + 3·2⁻⁸ between 1 + 2⁻⁷ and 1 + 2⁻⁶: both ties go to even.
  const std::vector<float> x{1, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f, 1 + 0x1.01p-8f, -1 - 0x1p-8f, 0, 3e38f, 1e-40f};
  const Tensor y = convert(Tensor::from_host({8}, x, device()), DType::bf16);
  ASSERT_EQ(y.dtype(), DType::bf16);
  const std::vector<float> back = convert(y, DType::f32).to_host();
  EXPECT_EQ(back[0], 1);
  EXPECT_EQ(back[1], 1);
  EXPECT_EQ(back[2], 1 + 0x1p-6f);
  EXPECT_EQ(back[3], 1 + 0x1p-7f);
  EXPECT_EQ(back[4], -1);
  EXPECT_EQ(back[5], 0);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(back[i], static_cast<float>(bf16(x[i]))) << "element " << i;
}

TEST_P(Convert, KeepsNanAndInfinity) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::from_host({4}, std::vector<float>{nan, inf, -inf, 3.4e38f}, device());
  const std::vector<float> y = convert(convert(x, DType::bf16), DType::f32).to_host();
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], inf);
  EXPECT_EQ(y[2], -inf);
  EXPECT_EQ(y[3], inf) << "above the largest bf16";
}

TEST_P(Convert, SharesStorageIfTheTypeIsTheSame) {
  const Tensor x = Tensor::zeros({2}, device());
  EXPECT_EQ(convert(x, DType::f32).storage(), x.storage());
}

TEST_P(Convert, MatchesHostRoundingAtEverySize) {
  for (const Shape& shape : kShapes) {
    const Array x = uniform(shape, 9);
    const Tensor y = convert(to_tensor(x, device()), DType::bf16);
    EXPECT_TRUE(all_close(to_array(y), map_to(DType::bf16, x), {})) << concat(shape);
  }
}

TEST_P(Convert, RefusesWhatIsNotFloating) {
  EXPECT_THROW(convert(Tensor::zeros({2}, device(), DType::u8), DType::f32), Error);
  EXPECT_THROW(convert(Tensor::zeros({2}, device()), DType::i32), Error);
}

}  // namespace
}  // namespace clx::tests
