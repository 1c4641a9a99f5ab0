#include "runtime/ops/cross_entropy.h"

#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/cross_entropy.h"

namespace clx::tests {
namespace {

class CrossEntropy : public DeviceTest {
 protected:
  static Tensor labels(const std::vector<std::int32_t>& values) {
    return Tensor::from_host({static_cast<std::int64_t>(values.size())}, values, device());
  }
  static std::vector<std::int32_t> some_labels(const Shape& logits) {
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < logits[0]; ++i)
      values.push_back(static_cast<std::int32_t>((5 * i + logits[1] - 1) % logits[1]));
    return values;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, CrossEntropy, every_device(), device_name);

const std::vector<Shape> kShapes{{1, 1},  {1, 2},   {3, 7},   {33, 10}, {2, 33},
                                 {5, 65}, {129, 3}, {3, 129}, {1, 1025}};

TEST_P(CrossEntropy, MatchesReferenceAtEverySizeAndSmoothing) {
  for (const float smoothing : {0.0f, 0.1f, 0.75f})
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(concat("logits ", shape, ", smoothing ", smoothing));
      const auto y = some_labels(shape);
      check_op(
          device(), {{uniform(shape, 1, -4, 4)}},
          [&](const auto& in) { return cross_entropy(in[0], labels(y), {smoothing}).loss; },
          [&](const auto& in) { return reference::cross_entropy(in[0], y, smoothing); });
    }
}

TEST_P(CrossEntropy, CountsCorrectRows) {
  for (const Shape& shape : kShapes) {
    const Array logits = uniform(shape, 1, -4, 4);
    const auto y = some_labels(shape);
    const Tensor correct = cross_entropy(to_tensor(logits, device()), labels(y)).correct;
    EXPECT_EQ(correct.to_host<std::int32_t>()[0], reference::correct(logits, y)) << concat(shape);
  }
}

TEST_P(CrossEntropy, CountsTheFirstLargestScoreOnly) {
  const Tensor ties = Tensor::full({2, 3}, 1, device());
  EXPECT_EQ(cross_entropy(ties, labels({0, 1})).correct.to_host<std::int32_t>()[0], 1);
}

TEST_P(CrossEntropy, HasTheGoldenValues) {
  const Tensor logits = Tensor::from_host({1, 4}, std::vector<float>{1, -2, 0.5f, 3}, device());
  EXPECT_NEAR(cross_entropy(logits, labels({2})).loss.item(), 2.702253447679, 1e-6);
  Tensor leaf = logits.clone();
  const Tensor loss = cross_entropy(leaf.require_grad(), labels({2}), {.smoothing = 0.1f}).loss;
  EXPECT_NEAR(loss.item(), 2.689753447679, 1e-6);
  backward(loss);
  EXPECT_TRUE(all_close(to_array(leaf.grad()),
                        Array({1, 4}, {0.085553750, -0.019495853, -0.857945761, 0.791887863}), {1e-7, 1e-6}));
}

TEST_P(CrossEntropy, ScalesItsGradientByDy) {
  Tensor logits = to_tensor(uniform({3, 5}, 1), device());
  const Tensor loss = cross_entropy(logits.require_grad(), labels({0, 4, 2})).loss;
  const Array once = to_array(grad(loss, {logits}, {.keep_graph = true})[0]);
  const Array twice = to_array(grad(loss, {logits}, {.dy = Tensor::full({}, 2, device())})[0]);
  for (std::int64_t i = 0; i < once.size(); ++i)
    EXPECT_NEAR(twice[i], 2 * once[i], 1e-7);
}

TEST_P(CrossEntropy, StaysFiniteForConfidentScores) {
  Tensor logits = Tensor::from_host({2, 2}, std::vector<float>{500, -500, 500, -500}, device());
  const Tensor loss = cross_entropy(logits.require_grad(), labels({0, 1})).loss;
  EXPECT_EQ(loss.item(), 500) << "0 for the first row, 1000 for the second";
  EXPECT_EQ(grad(loss, {logits})[0].to_host(), (std::vector<float>{0, 0, 0.5f, -0.5f}));
}

TEST_P(CrossEntropy, IsNotFiniteIfAScoreIsNot) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor logits = Tensor::from_host({2, 2}, std::vector<float>{1, 2, nan, 0}, device());
  EXPECT_FALSE(std::isfinite(cross_entropy(logits, labels({0, 1})).loss.item()));
}

TEST_P(CrossEntropy, RefusesWhatDoesNotFit) {
  const Tensor logits = Tensor::zeros({2, 3}, device());
  EXPECT_THROW(cross_entropy(logits, labels({0, 1, 2})), Error);
  EXPECT_THROW(cross_entropy(Tensor::zeros({0, 3}, device()), labels({})), Error) << "an empty batch";
  EXPECT_THROW(cross_entropy(Tensor::zeros({6}, device()), labels({0})), Error);
  EXPECT_THROW(cross_entropy(Tensor::zeros({2, 3}, device(), DType::bf16), labels({0, 1})), Error);
  EXPECT_THROW(cross_entropy(logits, Tensor::zeros({2}, device())), Error) << "labels in f32";
  EXPECT_THROW(cross_entropy(logits, labels({0, 1}), {.smoothing = 1}), Error);
  EXPECT_THROW(cross_entropy(logits, labels({0, 1}), {.smoothing = -0.1f}), Error);
  EXPECT_THROW(cross_entropy(logits, labels({0, 1}), {std::numeric_limits<float>::quiet_NaN()}), Error);
  if (device().kind == DeviceKind::cuda) return;  // reading the labels would wait for the device
  EXPECT_THROW(cross_entropy(logits, labels({0, 3})), Error);
  EXPECT_THROW(cross_entropy(logits, labels({-1, 0})), Error);
}

}  // namespace
}  // namespace clx::tests
