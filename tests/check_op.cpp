#include "tests/check_op.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <utility>

namespace clx::tests {

testing::AssertionResult all_close(const Array& actual, const Array& expected, Tolerance tolerance) {
  if (actual.shape != expected.shape)
    return testing::AssertionFailure() << concat("expected shape ", expected.shape, ", got ", actual.shape);
  std::int64_t worst = -1, failures = 0;
  const auto error = [&](std::int64_t i) {
    const double e = std::abs(actual[i] - expected[i]);
    return std::isnan(e) ? HUGE_VAL : e;
  };
  for (std::int64_t i = 0; i < actual.size(); ++i) {
    if (tolerance(actual[i], expected[i])) continue;
    ++failures;
    if (worst < 0 || error(i) > error(worst)) worst = i;
  }
  if (worst < 0) return testing::AssertionSuccess();
  std::string index;
  for (std::int64_t axis = actual.shape.rank() - 1, rest = worst; axis >= 0; --axis) {
    const std::int64_t extent = actual.dim(static_cast<int>(axis));
    index = std::to_string(rest % extent) + (index.empty() ? "" : ",") + index;
    rest /= extent;
  }
  std::ostringstream text;
  text.precision(9);
  text << failures << " of " << actual.size() << " elements of shape " << actual.shape
       << " are off; the worst at (" << index << "): expected " << expected[worst] << ", got "
       << actual[worst];
  return testing::AssertionFailure() << text.str();
}

testing::AssertionResult same_bits(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape())
    return testing::AssertionFailure()
           << concat(name_of(a.dtype()), " ", a.shape(), " and ", name_of(b.dtype()), " ", b.shape());
  const std::vector<std::uint8_t> x = bits(a), y = bits(b);
  const auto at = std::ranges::mismatch(x, y).in1 - x.begin();
  if (at == static_cast<std::ptrdiff_t>(x.size())) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "first difference in element "
                                     << at / static_cast<std::ptrdiff_t>(size_of(a.dtype())) << " of "
                                     << a.size();
}

namespace {

struct Run {
  Tensor y;
  std::vector<Tensor> gradients;  // of the differentiable inputs
};

Run run(Device device, const std::vector<Input>& inputs, const Op& op, const Array& dy, bool gradient) {
  std::vector<Tensor> xs, leaves;
  for (const Input& input : inputs) {
    Tensor x = to_tensor(input.values, device, input.dtype);
    if (gradient && input.differentiable) leaves.push_back(x.require_grad());
    xs.push_back(x);
  }
  Run result{op(xs), {}};
  if (gradient) result.gradients = grad(result.y, leaves, {.dy = to_tensor(dy, device, result.y.dtype())});
  for (std::size_t i = 0; i < xs.size(); ++i)
    EXPECT_TRUE(same_bits(xs[i], to_tensor(inputs[i].values, device, inputs[i].dtype)))
        << "the op wrote to input " << i;
  return result;
}

double dot(const Array& a, const Array& b) {
  return std::inner_product(a.values.begin(), a.values.end(), b.values.begin(), 0.0);
}

// (L(x + h·v) − L(x − h·v))/2h of L = Σ dy·reference, with v a direction in the space of input `i`.
double slope(std::vector<Array> xs,
             std::size_t i,
             const std::vector<std::pair<std::int64_t, double>>& direction,
             const Reference& reference,
             const Array& dy) {
  constexpr double kStep = 1e-6;
  const auto loss = [&](double h) {
    for (const auto& [at, v] : direction)
      xs[i][at] += h * v;
    return dot(reference(xs), dy);
  };
  const double up = loss(kStep), down = loss(-2 * kStep);
  return (up - down) / (2 * kStep);
}

// Compares up to 40 elements one by one and all of them along one random direction of ±1: an error of one
// element moves the slope along it by as much, and independent errors add up like a random walk.
void check_gradient(const Array& gradient,
                    std::size_t i,
                    const std::vector<Array>& xs,
                    const Reference& reference,
                    const Array& dy,
                    Tolerance tolerance,
                    unsigned seed) {
  ASSERT_EQ(gradient.shape, xs[i].shape) << "gradient of input " << i;
  std::mt19937 generator(seed);
  const std::int64_t checked = std::min<std::int64_t>(gradient.size(), 40);
  Array actual({checked}), expected({checked});
  std::vector<std::int64_t> at(static_cast<std::size_t>(gradient.size()));
  std::iota(at.begin(), at.end(), std::int64_t{0});
  for (std::int64_t j = 0; j < checked; ++j) {
    const auto from = static_cast<std::size_t>(j);
    std::swap(at[from], at[from + generator() % (at.size() - from)]);
    actual[j] = gradient[at[from]];
    expected[j] = slope(xs, i, {{at[from], 1.0}}, reference, dy);
  }
  const testing::AssertionResult close = all_close(actual, expected, tolerance);
  std::string where;
  for (std::int64_t j = 0; !close && j < checked; ++j)
    if (!tolerance(actual[j], expected[j])) where += ' ' + std::to_string(at[static_cast<std::size_t>(j)]);
  EXPECT_TRUE(close) << "gradient of input " << i << " of shape " << concat(gradient.shape)
                     << " against central differences; flat indices:" << where;

  std::vector<std::pair<std::int64_t, double>> direction;
  double along = 0, squares = 0;
  for (std::int64_t j = 0; j < gradient.size(); ++j) {
    const double sign = generator() % 2 ? 1.0 : -1.0;
    const double allowed = tolerance.absolute + tolerance.relative * std::abs(gradient[j]);
    direction.emplace_back(j, sign);
    along += sign * gradient[j];
    squares += allowed * allowed;
  }
  EXPECT_NEAR(along, slope(xs, i, direction, reference, dy), 4 * std::sqrt(squares) + 1e-9)
      << "gradient of input " << i << " of shape " << concat(gradient.shape) << " along a random direction";
}

}  // namespace

void check_op(Device device,
              const std::vector<Input>& inputs,
              const Op& op,
              const Reference& reference,
              const CheckOptions& options,
              std::source_location caller) {
  const testing::ScopedTrace trace(caller.file_name(), static_cast<int>(caller.line()),
                                   concat("check_op on ", device, ", seed ", options.seed));
  std::vector<Array> xs;
  for (const Input& input : inputs)
    xs.push_back(input.values);
  const Array expected = reference(xs);
  const bool any = std::any_of(inputs.begin(), inputs.end(), [](const Input& i) { return i.differentiable; });
  const bool gradient = options.gradient && any;
  const Array dy = uniform(expected.shape, options.seed, -1, 1, DType::bf16);  // exact in every dtype
  const auto first = run(device, inputs, op, dy, gradient);
  const auto tolerance = [&](const Tensor& t) {
    return t.dtype() == DType::bf16 ? options.bf16 : options.f32;
  };
  ASSERT_EQ(first.y.device(), device);
  EXPECT_TRUE(all_close(to_array(first.y), expected, tolerance(first.y))) << "values";
  for (std::size_t i = 0, g = 0; gradient && i < inputs.size(); ++i) {
    if (!inputs[i].differentiable) continue;
    const Tensor& dx = first.gradients[g++];
    EXPECT_EQ(dx.dtype(), inputs[i].dtype) << "gradient of input " << i;
    check_gradient(to_array(dx), i, xs, reference, dy, tolerance(dx), options.seed + 1);
  }
  const auto second = run(device, inputs, op, dy, gradient);
  EXPECT_TRUE(same_bits(first.y, second.y)) << "two runs differ";
  for (std::size_t g = 0; g < first.gradients.size(); ++g)
    EXPECT_TRUE(same_bits(first.gradients[g], second.gradients[g])) << "two runs differ in gradient " << g;
}

}  // namespace clx::tests
