#include "runtime/ops/add.h"

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/add.h"

namespace clx::tests {
namespace {

class Add : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Add, every_device(), device_name);

// Around the widths of vectors, warps and blocks, and larger than one block's work.
const std::vector<Shape> kShapes{{}, {1}, {3}, {7, 5}, {31}, {33}, {2, 3, 4, 5}, {257}, {1025}, {4099}};

TEST_P(Add, MatchesReferenceAtEverySize) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : kShapes)
      check_op(
          device(), {{uniform(shape, 1, -1, 1, dtype), dtype}, {uniform(shape, 2, -1, 1, dtype), dtype}},
          [](const auto& in) { return add(in[0], in[1]); },
          [](const auto& in) { return reference::add(in[0], in[1]); });
}

TEST_P(Add, TakesOneTensorTwice) {
  check_op(
      device(), {{uniform({3, 5}, 1)}}, [](const auto& in) { return add(in[0], in[0]); },
      [](const auto& in) { return reference::add(in[0], in[0]); });
}

TEST_P(Add, WorksOnSlicesThatAreNotAlignedToVectors) {
  const Array a = uniform({5, 7}, 1);
  const Tensor t = to_tensor(a, device());
  const Array sum = to_array(add(t.slice(1, 3), t.slice(2, 4)));
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 7; ++j)
      EXPECT_FLOAT_EQ(static_cast<float>(sum(i, j)), static_cast<float>(a(i + 1, j) + a(i + 2, j)));
}

TEST_P(Add, RefusesWhatDoesNotFit) {
  const Tensor a = Tensor::zeros({2, 3}, device());
  EXPECT_THROW(add(a, Tensor::zeros({3, 2}, device())), Error);
  EXPECT_THROW(add(a, Tensor::zeros({2, 3}, device(), DType::bf16)), Error);
  EXPECT_THROW(add(a, Tensor()), Error);
  EXPECT_THROW(add(Tensor::zeros({2}, device(), DType::i32), Tensor::zeros({2}, device(), DType::i32)),
               Error);
}

TEST(AddErrors, RefuseOperandsOnTwoDevices) {
  EXPECT_THROW(add(Tensor::zeros({2}), Tensor::zeros({2}, kEmulated)), Error);
}

}  // namespace
}  // namespace clx::tests
