#include "runtime/ops/softmax.h"

#include <numeric>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/softmax.h"

namespace clx::tests {
namespace {

class Softmax : public DeviceTest {};
class Pick : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Softmax, every_device(), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, Pick, every_device(), device_name);

const std::vector<Shape> kShapes{{1, 1},  {1, 2},  {3, 7},   {33, 10}, {2, 31},  {2, 32},
                                 {2, 33}, {5, 65}, {3, 129}, {2, 257}, {129, 3}, {1, 1025}};

TEST_P(Softmax, MatchesReferenceAtEverySize) {
  for (const Shape& shape : kShapes)
    check_op(
        device(), {{uniform(shape, 1, -4, 4)}}, [](const auto& in) { return softmax(in[0]); },
        [](const auto& in) { return reference::softmax(in[0]); });
}

TEST_P(Softmax, RowsSumToOne) {
  const Array y = to_array(softmax(to_tensor(uniform({5, 37}, 1, -8, 8), device())));
  for (int r = 0; r < 5; ++r)
    EXPECT_NEAR(std::accumulate(&y.values[r * 37], &y.values[r * 37] + 37, 0.0), 1, 1e-6);
}

TEST_P(Softmax, DoesNotOverflow) {
  const std::vector<float> y =
      softmax(
          Tensor::from_host({2, 3}, std::vector<float>{1000, 1000, -1000, -3e38f, -3e38f, 3e38f}, device()))
          .to_host();
  EXPECT_EQ(y, (std::vector<float>{0.5f, 0.5f, 0, 0, 0, 1}));
}

TEST_P(Softmax, DoesNotChangeWhenScoresShift) {
  // Exact shifts: multiples of 1/16.
  Array x = integers({3, 11}, 1, 40);
  for (double& value : x.values)
    value /= 16;
  Array shifted = x;
  for (double& value : shifted.values)
    value += 64;
  EXPECT_TRUE(same_bits(softmax(to_tensor(x, device())), softmax(to_tensor(shifted, device()))));
}

TEST_P(Softmax, RefusesWhatIsNotAMatrixOfF32) {
  EXPECT_THROW(softmax(Tensor::zeros({2, 3, 4}, device())), Error);
  EXPECT_THROW(softmax(Tensor::zeros({0, 3}, device())), Error) << "an empty batch";
  EXPECT_THROW(softmax(Tensor::zeros({3, 0}, device())), Error) << "no classes";
  EXPECT_THROW(softmax(Tensor::zeros({2, 3}, device(), DType::bf16)), Error);
  EXPECT_THROW(softmax(Tensor()), Error);
}

TEST_P(Pick, MatchesReferenceAtEverySize) {
  for (const Shape& shape : kShapes) {
    std::vector<std::int32_t> columns;
    for (std::int64_t i = 0; i < shape[0]; ++i)
      columns.push_back(static_cast<std::int32_t>((7 * i + shape[1] - 1) % shape[1]));
    check_op(
        device(), {{uniform(shape, 1)}},
        [&](const auto& in) { return pick(in[0], Tensor::from_host({shape[0]}, columns, device())); },
        [&](const auto& in) { return reference::pick(in[0], columns); },
        {.f32 = {1e-7, 0}});  // copies; 1e-7 is for the error of the differences
  }
}

TEST_P(Pick, RefusesWhatDoesNotFit) {
  const auto columns = [](std::vector<std::int32_t> c) {
    const auto n = static_cast<std::int64_t>(c.size());
    return Tensor::from_host({n}, c, device());
  };
  const Tensor x = Tensor::zeros({2, 3}, device());
  EXPECT_THROW(pick(x, columns({0, 1, 2})), Error);
  EXPECT_THROW(pick(x, Tensor::zeros({2}, device())), Error) << "columns in f32";
  EXPECT_THROW(pick(Tensor::zeros({6}, device()), columns({0, 1})), Error);
  if (device().kind == DeviceKind::cuda) return;  // reading the columns would wait for the device
  EXPECT_THROW(pick(x, columns({0, 3})), Error);
  EXPECT_THROW(pick(x, columns({-1, 0})), Error);
}

}  // namespace
}  // namespace clx::tests
