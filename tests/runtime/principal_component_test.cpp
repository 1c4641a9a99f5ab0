#include "runtime/ops/principal_component.h"

#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/principal_component.h"

namespace clx::tests {
namespace {

class PrincipalComponent : public DeviceTest {
 protected:
  // Sparse like the activations after a ReLU.
  static Array activations(const Shape& shape, unsigned seed, DType dtype = DType::f32) {
    Array x = uniform(shape, seed, -1, 1, dtype);
    for (double& v : x.values)
      v = std::max(v, 0.0);
    return x;
  }
  static bool has_sign(ComponentSign sign, const Array& x, std::int64_t n, const std::vector<double>& y) {
    if (sign == ComponentSign::first_negative) return y[0] <= 0;
    if (sign == ComponentSign::largest_positive)
      return *std::max_element(y.begin(), y.end()) >= -*std::min_element(y.begin(), y.end());
    const std::int64_t C = x.dim(3), P = static_cast<std::int64_t>(y.size());
    double correlation = 0;
    for (std::int64_t i = 0; i < P * C; ++i)
      correlation += y[static_cast<std::size_t>(i / C)] * x[n * P * C + i];
    return correlation >= 0;
  }
  static void check(const Array& x, DType dtype = DType::f32) {
    SCOPED_TRACE(concat("activations ", x.shape, " ", name_of(dtype)));
    const std::int64_t N = x.dim(0), P = x.dim(1) * x.dim(2);
    std::vector<std::vector<double>> components;
    for (std::int64_t n = 0; n < N; ++n)
      components.push_back(reference::principal_component(x, n));
    for (const ComponentSign sign :
         {ComponentSign::first_negative, ComponentSign::mean_correlated, ComponentSign::largest_positive}) {
      const Tensor y = principal_component(to_tensor(x, device(), dtype), sign);
      EXPECT_TRUE(same_bits(y, principal_component(to_tensor(x, device(), dtype), sign)))
          << "two runs differ";
      const Array actual = to_array(y);
      for (std::int64_t n = 0; n < N; ++n) {
        const std::vector<double>& expected = components[static_cast<std::size_t>(n)];
        const double factor = has_sign(sign, x, n, expected) ? 1 : -1;
        double largest = 0;
        for (const double e : expected)
          largest = std::max(largest, std::abs(e));
        for (std::int64_t p = 0; p < P; ++p)
          EXPECT_NEAR(actual[n * P + p], factor * expected[static_cast<std::size_t>(p)],
                      2e-6 * largest + 1e-12)
              << "sample " << n << ", position " << p << ", sign " << static_cast<int>(sign);
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, PrincipalComponent, every_device(), device_name);

TEST_P(PrincipalComponent, MatchesJacobiRotations) {
  check(activations({3, 4, 4, 64}, 1));
  check(activations({2, 3, 5, 67}, 2));
  check(activations({1, 7, 7, 130}, 3));
  check(activations({1, 5, 13, 90}, 4));
  check(activations({1, 5, 11, 60}, 12));  // almost all shared memory that a block has unasked
  check(activations({1, 8, 9, 80}, 5));    // beyond shared memory
}

TEST_P(PrincipalComponent, MatchesJacobiRotationsWithFewChannels) {
  check(activations({2, 5, 7, 3}, 6));
  check(activations({2, 3, 3, 8}, 7));
  check(activations({1, 1, 3, 1}, 8));
}

TEST_P(PrincipalComponent, MatchesJacobiRotationsInBf16) {
  check(activations({2, 4, 4, 37}, 9, DType::bf16), DType::bf16);
}

// The second singular value is 0.9995 of the first.
TEST_P(PrincipalComponent, FindsTheFirstOfTwoCloseComponents) {
  Array x({1, 2, 2, 2});
  const double first[] = {1, -1, 1, -1}, second[] = {1, 1, -1, -1};
  for (std::int64_t p = 0; p < 4; ++p) {
    x(std::int64_t{0}, p / 2, p % 2, std::int64_t{0}) = 2000 * first[p];
    x(std::int64_t{0}, p / 2, p % 2, std::int64_t{1}) = 1999 * second[p];
  }
  const Array y = to_array(principal_component(to_tensor(x, device()), ComponentSign::first_negative));
  for (std::int64_t p = 0; p < 4; ++p)
    EXPECT_NEAR(y[p], -2000 * first[p], 1e-3);
}

TEST_P(PrincipalComponent, OfConstantActivationsIsZero) {
  const Tensor y =
      principal_component(Tensor::full({2, 3, 3, 5}, 0.5f, device()), ComponentSign::mean_correlated);
  EXPECT_EQ(y.to_host(), std::vector<float>(18));
}

TEST_P(PrincipalComponent, TakesNaNForZeroAndPassesInfinityOn) {
  Array x = activations({1, 3, 3, 16}, 10), with_nan = x;
  for (const std::int64_t i : {std::int64_t{5}, std::int64_t{40}, std::int64_t{143}}) {
    x[i] = 0;
    with_nan[i] = std::numeric_limits<double>::quiet_NaN();
  }
  const auto component = [](const Array& a) {
    return principal_component(to_tensor(a, device()), ComponentSign::mean_correlated);
  };
  EXPECT_TRUE(same_bits(component(with_nan), component(x)));
  x[7] = std::numeric_limits<double>::infinity();
  for (const float v : component(x).to_host())
    EXPECT_TRUE(std::isnan(v));
}

TEST_P(PrincipalComponent, DoesNotDependOnTheBatch) {
  const Tensor x = to_tensor(activations({3, 4, 5, 33}, 11), device());
  const Tensor all = principal_component(x, ComponentSign::mean_correlated);
  for (std::int64_t n = 0; n < 3; ++n)
    EXPECT_TRUE(same_bits(all.slice(n, n + 1),
                          principal_component(x.slice(n, n + 1), ComponentSign::mean_correlated)));
}

TEST_P(PrincipalComponent, RefusesWhatIsNotAnActivation) {
  EXPECT_THROW(principal_component(Tensor::zeros({4, 4}, device()), ComponentSign::mean_correlated), Error);
  EXPECT_THROW(
      principal_component(Tensor::zeros({1, 4, 4, 3}, device(), DType::i32), ComponentSign::mean_correlated),
      Error);
}

}  // namespace
}  // namespace clx::tests
