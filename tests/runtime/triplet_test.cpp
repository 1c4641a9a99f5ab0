#include "runtime/ops/triplet.h"

#include <filesystem>
#include <limits>

#include "runtime/io/npz.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/paths.h"
#include "tests/reference/triplet.h"

namespace clx::tests {
namespace {

using Labels = std::vector<std::int32_t>;

struct Result {
  double loss;
  std::int64_t active;
  Array gradient;
};

class TripletOp : public DeviceTest {
 protected:
  using Sizes = std::vector<std::int64_t>;
  // The emulator runs a block of threads per sample: fewer of them there.
  static Sizes sizes(const Sizes& all, const Sizes& emulated) {
    return device().kind == DeviceKind::emulated ? emulated : all;
  }
  static Tensor labels(const Labels& y) {
    return Tensor::from_host({static_cast<std::int64_t>(y.size())}, y, device());
  }
  static Result run(const Array& x, const Labels& y, const TripletOptions& options = {}) {
    Tensor leaf = to_tensor(x, device());
    const Triplet t = triplet(leaf.require_grad(), labels(y), options);
    return {t.loss.item(), t.active.to_host<std::int64_t>()[0], to_array(grad(t.loss, {leaf})[0])};
  }
  static reference::TripletLoss expected(const Array& x,
                                         const Labels& y,
                                         const TripletOptions& options = {}) {
    return options.mining == Mining::hard ? reference::triplet_hard(x, y, options.margin)
                                          : reference::triplet(x, y, options.margin);
  }
  static void expect_reference(const Array& x,
                               const Labels& y,
                               const TripletOptions& options = {},
                               Tolerance tolerance = {2e-6, 1e-5}) {
    const Result got = run(x, y, options);
    const reference::TripletLoss want = expected(x, y, options);
    EXPECT_EQ(got.active, want.active);
    EXPECT_TRUE(tolerance(got.loss, want.loss)) << got.loss << ", expected " << want.loss;
    EXPECT_TRUE(all_close(got.gradient, want.gradient, tolerance));
  }
  static void check_gradient(const Array& x, const Labels& y, const TripletOptions& options = {}) {
    check_op(
        device(), {{x}},
        [&](const std::vector<Tensor>& in) { return triplet(in[0], labels(y), options).loss; },
        [&](const std::vector<Array>& in) { return Array(Shape{}, {expected(in[0], y, options).loss}); });
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, TripletOp, every_device(), device_name);

Labels cyclic(std::int64_t count, int classes) {
  Labels y;
  for (std::int64_t i = 0; i < count; ++i)
    y.push_back(static_cast<std::int32_t>((5 * i + i / 3) % classes) - 1);
  return y;
}

Array golden_input() {
  Array x({6, 4});
  for (int i = 0; i < 6; ++i)
    for (int d = 0; d < 4; ++d)
      x(i, d) = std::sin(0.7 * (i + 1) * (d + 1)) + 0.1 * (i - d);
  return x;
}
const Labels kGoldenLabels{0, 1, 0, 0, 1, 1};

TEST_P(TripletOp, HasTheGoldenValuesOfSemiHardMining) {
  const Result got = run(golden_input(), kGoldenLabels);
  EXPECT_EQ(got.active, 11);
  EXPECT_NEAR(got.loss, 0.189950539148, 1e-6);
  const Array expected({6, 4},
                       {-0.046555539, +0.325034658, -0.159187925, -0.017184410, -0.001421562, -0.159759660,
                        +0.301801719, +0.266334609, +0.008358194, +0.067818772, -0.469016367, +0.251648977,
                        -0.101854251, +0.025060257, +0.088614398, -0.398409148, +0.176747590, -0.235878519,
                        +0.112225424, -0.019081570, -0.035274432, -0.022275508, +0.125562752, -0.083308458});
  EXPECT_TRUE(all_close(got.gradient, expected, {1e-6, 1e-6}));
}

TEST_P(TripletOp, HasTheGoldenValuesOfHardMining) {
  const Array x = golden_input();
  const Result got = run(x, kGoldenLabels, {.mining = Mining::hard});
  EXPECT_EQ(got.active, 0);
  EXPECT_NEAR(got.loss, 0.649802597235, 1e-6);
  EXPECT_NEAR(got.gradient(0, 0), -0.305658321, 1e-6);
  EXPECT_NEAR(got.gradient(0, 1), +0.192621225, 1e-6);
  EXPECT_NEAR(got.gradient(0, 2), -0.288303131, 1e-6);
  EXPECT_NEAR(got.gradient(0, 3), -0.216372586, 1e-6);
  // The pull of each anchor's positive and the push of its negative.
  const int selected[6][2] = {{2, 5}, {4, 0}, {3, 4}, {2, 5}, {1, 0}, {1, 0}};
  Array expected({6, 4});
  for (int a = 0; a < 6; ++a)
    for (const int sign : {1, -1}) {
      const int other = selected[a][sign < 0];
      double squares = 0;
      for (int d = 0; d < 4; ++d)
        squares += (x(a, d) - x(other, d)) * (x(a, d) - x(other, d));
      for (int d = 0; d < 4; ++d) {
        const double pull = sign * (x(a, d) - x(other, d)) / std::sqrt(squares) / 6;
        expected(a, d) += pull;
        expected(other, d) -= pull;
      }
    }
  EXPECT_TRUE(all_close(got.gradient, expected, {1e-6, 1e-6}));
}

TEST_P(TripletOp, OfAnEasyBatchIsZero) {
  const Result got = run(Array({4, 2}, {0, 0, 1, 0, 5, 0, 6, 0}), {0, 0, 1, 1});
  EXPECT_EQ(got.loss, 0);
  EXPECT_EQ(got.active, 0);
  EXPECT_EQ(got.gradient.values, std::vector<double>(8));
}

TEST_P(TripletOp, FallsBackToTheHardestWhereEveryNegativeIsNearer) {
  const Array x({4, 1}, {0, 10, 1, 11.5});
  const Labels y{0, 0, 1, 1};
  const Result got = run(x, y);
  EXPECT_EQ(got.active, 0);
  EXPECT_GT(got.loss, 8);
  const Result hard = run(x, y, {.mining = Mining::hard});
  EXPECT_EQ(got.loss, hard.loss);
  EXPECT_EQ(got.gradient.values, hard.gradient.values);
  expect_reference(x, y);
}

TEST_P(TripletOp, MatchesEveryTripletOfRandomBatches) {
  unsigned seed = 0;
  for (const std::int64_t n : sizes({3, 8, 31, 32, 33, 64, 65, 97}, {3, 33, 65}))
    for (const int classes : {2, 10}) {
      const std::int64_t features = 1 + (n * 7 + classes) % 19;
      SCOPED_TRACE(concat("N ", n, ", D ", features, ", ", classes, " classes"));
      const Array x = uniform({n, features}, ++seed);
      expect_reference(x, cyclic(n, classes), {.margin = 0.25f});
      expect_reference(x, cyclic(n, classes), {.mining = Mining::hard});
    }
  expect_reference(uniform({9, 300}, 5), cyclic(9, 2), {.margin = 0.5f});
}

// Distances on a lattice are equal, and equal to the margin apart, in single precision as in double.
TEST_P(TripletOp, CountsNoTripletOnEitherEdge) {
  unsigned seed = 0;
  for (const std::int64_t n : sizes({5, 33, 70}, {5, 21}))
    for (const float margin : {0.0f, 1.0f, 2.0f})
      for (const int features : {1, 2}) {
        SCOPED_TRACE(concat("N ", n, ", D ", features, ", margin ", margin));
        const Array x = integers({n, features}, ++seed, 6);
        expect_reference(x, cyclic(n, 3), {.margin = margin});
        expect_reference(x, cyclic(n, 3), {.margin = margin, .mining = Mining::hard});
      }
}

TEST_P(TripletOp, HasTheGradientOfCentralDifferences) {
  check_gradient(uniform({8, 3}, 1), cyclic(8, 2));
  check_gradient(uniform({13, 5}, 2), cyclic(13, 3), {.margin = 0.7f});
  check_gradient(uniform({8, 3}, 3), cyclic(8, 2), {.mining = Mining::hard});
}

TEST_P(TripletOp, HasNoGradientBetweenCoincidentPoints) {
  Array x = uniform({8, 3}, 4);
  const Labels y{0, 1, 0, 0, 1, 1, 0, 1};
  for (int d = 0; d < 3; ++d)
    x(2, d) = x(0, d);  // of one class
  check_gradient(x, y);
  for (int d = 0; d < 3; ++d)
    x(3, d) = x(1, d);  // of two: a tie for all other anchors
  for (const Mining mining : {Mining::semi_hard, Mining::hard})
    expect_reference(x, y, {.mining = mining});
  const Result all = run(Array({5, 2}, std::vector<double>(10, 0.1f)), {0, 0, 1, 1, 1});
  EXPECT_FLOAT_EQ(static_cast<float>(all.loss), 0.3f) << "the margin, of every anchor";
  EXPECT_EQ(all.gradient.values, std::vector<double>(10));
}

TEST_P(TripletOp, LeavesOutAnchorsWithoutPositives) {
  const Array x = uniform({7, 3}, 5);
  const Labels some{4, -9, 4, 0, 4, 0, 2147483647};
  for (const Mining mining : {Mining::semi_hard, Mining::hard}) {
    expect_reference(x, some, {.mining = mining});
    check_gradient(x, some, {.mining = mining});
    const Result none = run(x, {0, 1, 2, 3, 4, 5, 6}, {.mining = mining});
    EXPECT_EQ(none.loss, 0);
    EXPECT_EQ(none.active, 0);
    EXPECT_EQ(none.gradient.values, std::vector<double>(21));
  }
}

TEST_P(TripletOp, TakesTheLargestDistanceForTheNegativesOfOneClass) {
  for (const std::int64_t n : sizes({2, 7, 34}, {2, 7})) {
    const Array x = uniform({n, 3}, 6);
    const Labels y(static_cast<std::size_t>(n), 3);
    for (const Mining mining : {Mining::semi_hard, Mining::hard})
      expect_reference(x, y, {.mining = mining});
    if (n < 10) check_gradient(x, y);
  }
  // The four sides of a square and its diagonals: the two diagonals share.
  expect_reference(Array({4, 2}, {0, 0, 1, 0, 1, 1, 0, 1}), {0, 0, 0, 0}, {.margin = 0.5f});
  expect_reference(integers({20, 1}, 7, 4), Labels(20, 1));
}

TEST_P(TripletOp, OfOneOrTwoSamples) {
  const auto expect_nothing = [](const Result& r) {
    EXPECT_EQ(r.loss, 0);
    for (const double g : r.gradient.values)
      EXPECT_EQ(g, 0);
  };
  expect_nothing(run(uniform({1, 3}, 1), {5}));
  expect_nothing(run(uniform({2, 3}, 1), {0, 1}));
  const Array x({2, 2}, {0, 0, 3, 4});
  EXPECT_FLOAT_EQ(static_cast<float>(run(x, {1, 1}).loss), 0.3f) << "5 − 5 + margin";
  expect_reference(x, {1, 1});
  check_gradient(x, {1, 1});
}

// All rows far from 0 and close together: a Gram matrix would lose every digit of the distances.
TEST_P(TripletOp, KeepsItsDigitsForACollapsedBatch) {
  Array x = uniform({24, 16}, 8, -1e-3, 1e-3);
  for (double& v : x.values)
    v += 50;
  x = map_to(DType::f32, x);
  expect_reference(x, cyclic(24, 3), {.margin = 1e-3f}, {1e-5, 1e-4});
}

TEST_P(TripletOp, IsNotANumberIfADistanceIsNot) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const Labels& y : {cyclic(6, 2), Labels(6, 0)}) {
      Array x = uniform({6, 2}, 1);
      x(3, 1) = static_cast<double>(bad);
      const Result got = run(x, y);
      EXPECT_TRUE(std::isnan(got.loss));
      EXPECT_TRUE(std::isnan(got.gradient[0]));
    }
}

// Values and gradients of the textbook formula in double precision (tests/fixtures/make_triplet.py).
TEST_P(TripletOp, MatchesPyTorch) {
  const auto fixture = io::read_npz(tests::fixture("triplet.npz"));
  for (const int n : {8, 64, 512}) {
    if (n == 512 && device().kind == DeviceKind::emulated) continue;  // minutes
    const auto array = [&](const std::string& name) { return fixture.at(concat(name, "_", n)); };
    const Array x = to_array(array("x"));
    const Labels y = array("labels").to_host<std::int32_t>();
    for (const bool hard : {false, true}) {
      SCOPED_TRACE(concat("N ", n, hard ? ", hard" : ", semi-hard"));
      const std::string kind = hard ? "hard" : "semi_hard";
      const Result got = run(x, y, {.mining = hard ? Mining::hard : Mining::semi_hard});
      EXPECT_EQ(got.active, hard ? 0 : array("active").to_host<std::int64_t>()[0]);
      const Array loss = to_array(array(kind + "_loss"));
      EXPECT_NEAR(got.loss, loss[0], 1e-5 * loss[0]);
      const Array gradient = to_array(array(kind + "_gradient"));
      double largest = 0;
      for (const double g : gradient.values)
        largest = std::max(largest, std::abs(g));
      EXPECT_TRUE(all_close(got.gradient, gradient, {1e-5 * largest, 0}));
    }
  }
}

TEST_P(TripletOp, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({4, 2}, device());
  EXPECT_THROW(triplet(x, labels({0, 1, 0})), Error);
  EXPECT_THROW(triplet(Tensor::zeros({8}, device()), labels({0})), Error);
  EXPECT_THROW(triplet(Tensor::zeros({0, 2}, device()), labels({})), Error) << "an empty batch";
  EXPECT_THROW(triplet(x, Tensor::zeros({4}, device())), Error) << "labels in f32";
  EXPECT_THROW(triplet(Tensor::zeros({4, 2}, device(), DType::bf16), labels({0, 1, 0, 1})), Error);
  EXPECT_THROW(triplet(x, labels({0, 1, 0, 1}), {.margin = -0.1f}), Error);
  EXPECT_THROW(triplet(x, labels({0, 1, 0, 1}), {.margin = std::numeric_limits<float>::infinity()}), Error);
  EXPECT_THROW(triplet({}, labels({0})), Error);
}

}  // namespace
}  // namespace clx::tests
