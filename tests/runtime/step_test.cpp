#include "runtime/step.h"

#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

class Steps : public DeviceTest {
 protected:
  static Tensor loss(float value) { return Tensor::full({}, value, device()); }
  static Tensor correct(std::int32_t value) {
    return Tensor::from_host({}, std::vector<std::int32_t>{value}, device());
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Steps, every_device(), device_name);

TEST_P(Steps, BeginEmpty) {
  const StepTotals totals = Step(device()).read();
  EXPECT_EQ(totals.step, 0);
  EXPECT_EQ(totals.loss, 0);
  EXPECT_EQ(totals.accuracy, 0);
  EXPECT_EQ(totals.seen, 0);
  EXPECT_EQ(totals.first_bad_step, -1);
}

TEST_P(Steps, SumLossAndAccuracyUntilTheyAreRead) {
  Step step(device());
  step.advance(8, loss(2), correct(3));
  step.advance(4, loss(1), correct(3));
  StepTotals totals = step.read();
  EXPECT_EQ(totals.step, 2);
  EXPECT_DOUBLE_EQ(totals.loss, 1.5);
  EXPECT_DOUBLE_EQ(totals.accuracy, 0.5);
  EXPECT_EQ(totals.seen, 12);

  step.advance(10, loss(0.25f), correct(10));
  totals = step.read();
  EXPECT_EQ(totals.step, 3) << "reading clears the sums, not the count";
  EXPECT_DOUBLE_EQ(totals.loss, 0.25);
  EXPECT_DOUBLE_EQ(totals.accuracy, 1);
  EXPECT_EQ(totals.seen, 10);
}

TEST_P(Steps, LetTheirSumsGrowOnWhenPeekedAt) {
  Step step(device());
  step.advance(8, loss(2), correct(3));
  EXPECT_EQ(step.peek().seen, 8);
  step.advance(4, loss(1), correct(3));
  EXPECT_DOUBLE_EQ(step.peek().loss, 1.5);
  EXPECT_DOUBLE_EQ(step.read().accuracy, 0.5);
  EXPECT_EQ(step.peek().seen, 0);
}

TEST_P(Steps, RememberTheFirstLossThatIsNotFinite) {
  Step step(device());
  step.set_step(40);
  step.advance(1, loss(1), correct(0));
  step.advance(1, loss(std::numeric_limits<float>::infinity()), correct(0));
  step.advance(1, loss(std::numeric_limits<float>::quiet_NaN()), correct(0));
  EXPECT_EQ(step.read().first_bad_step, 41);
  step.advance(1, loss(1), correct(0));
  EXPECT_EQ(step.read().first_bad_step, 41) << "reading does not forget it";
}

TEST_P(Steps, KeepTheirSumsWhenOtherFieldsAreWritten) {
  Step step(device());
  step.advance(2, loss(3), correct(1));
  step.set_learning_rate(0.5f);
  step.set_key(~std::uint64_t{0}, 7);
  const StepTotals totals = step.read();
  EXPECT_EQ(totals.step, 1);
  EXPECT_DOUBLE_EQ(totals.loss, 3);
  EXPECT_EQ(totals.seen, 2);
}

TEST_P(Steps, SumLossesInDouble) {
  // In f32 a sum of 10,000 + 1e-4 would lose the small part.
  Step step(device());
  step.advance(1, loss(10000), correct(0));
  step.advance(1, loss(1e-4f), correct(0));
  EXPECT_DOUBLE_EQ(step.read().loss, (10000.0 + static_cast<double>(1e-4f)) / 2);
}

TEST_P(Steps, RefuseWhatIsNotALossOrACount) {
  Step step(device());
  EXPECT_THROW(step.advance(1, Tensor::zeros({1}, device()), correct(0)), Error) << "a vector";
  EXPECT_THROW(step.advance(1, loss(1), Tensor::zeros({}, device())), Error) << "a count in f32";
  EXPECT_THROW(step.advance(1, Tensor(), correct(0)), Error);
  EXPECT_THROW(step.advance(1, Tensor::zeros({}, device() == kCpu ? kEmulated : kCpu), correct(0)), Error);
}

}  // namespace
}  // namespace clx::tests
