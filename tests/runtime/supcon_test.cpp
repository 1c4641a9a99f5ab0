#include "runtime/ops/supcon.h"

#include <limits>
#include <numeric>
#include <thread>

#include "kernels/supcon.h"
#include "runtime/allocator.h"
#include "runtime/dispatch.h"
#include "runtime/io/npz.h"
#include "runtime/ops/l2_normalize.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/paths.h"
#include "tests/reference/l2_normalize.h"
#include "tests/reference/supcon.h"

namespace clx::tests {
namespace {

using Labels = std::vector<std::int32_t>;

class Supcon : public DeviceTest {
 protected:
  static Tensor tensor_of(const Labels& labels) {
    return Tensor::from_host({static_cast<std::int64_t>(labels.size())}, labels, device());
  }
  static Array unit_rows(const Shape& shape, unsigned seed) {
    return map_to(DType::f32, reference::l2_normalize(uniform(shape, seed)));
  }
  static Labels cycling(std::int64_t count, std::int32_t classes) {
    Labels labels;
    for (std::int64_t i = 0; i < count; ++i)
      labels.push_back(static_cast<std::int32_t>(i * 7 % classes));
    return labels;
  }
  static void check(const Array& z,
                    const Labels& labels,
                    float temperature,
                    const CheckOptions& options = {}) {
    SCOPED_TRACE(concat("z ", z.shape, ", temperature ", temperature));
    check_op(
        device(), {{z}},
        [&](const auto& in) { return supcon(in[0], tensor_of(labels), {.temperature = temperature}); },
        [&](const auto& in) { return reference::supcon(in[0], labels, temperature); }, options);
  }
  // The loss of every anchor, which the op keeps to itself.
  static Array anchors(const Tensor& z, const Labels& labels, float temperature) {
    const kernels::SupconShape shape{static_cast<int>(z.dim(0)), static_cast<int>(z.dim(1))};
    const Tensor label = tensor_of(labels);
    Tensor log_sum({z.dim(0)}, device()), pull = log_sum.clone(), loss = log_sum.clone(),
                                          mean(Shape{}, device());
    on(device(), [&](const auto& backend) {
      kernels::supcon_forward(backend, shape, z.data(), label.data<std::int32_t>(), temperature,
                              log_sum.mutable_data(), pull.mutable_data(), loss.mutable_data(),
                              mean.mutable_data());
    });
    return to_array(loss);
  }
  // The value and the gradient of supcon against closed forms.
  static void check_gradient(const Array& z, const Labels& labels, float temperature) {
    Tensor x = to_tensor(z, device());
    const Tensor loss = supcon(x.require_grad(), tensor_of(labels), {.temperature = temperature});
    EXPECT_NEAR(loss.item(), reference::supcon(z, labels, temperature)[0], 1e-5);
    const Array expected = reference::supcon_gradient(z, labels, temperature);
    EXPECT_TRUE(all_close(to_array(grad(loss, {x})[0]), expected, {1e-5 * largest(expected), 1e-5}))
        << concat(z.shape);
  }
  static double largest(const Array& a) {
    double most = 0;
    for (const double value : a.values)
      most = std::max(most, std::abs(value));
    return most;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Supcon, every_device(), device_name);

// The inputs of the golden values: U[i][d] = sin(0.7(i + 1)(d + 1)) + 0.1(i − d).
Array golden_rows() {
  Array u({6, 4});
  for (int i = 0; i < 6; ++i)
    for (int d = 0; d < 4; ++d)
      u(i, d) = std::sin(0.7 * (i + 1) * (d + 1)) + 0.1 * (i - d);
  return u;
}

TEST_P(Supcon, HasTheGoldenValues) {
  Tensor u = to_tensor(golden_rows(), device());
  const Tensor z = l2_normalize(u.require_grad());
  const Tensor labels = tensor_of({0, 1, 0, 0, 1, 0});
  const Tensor warm = supcon(z, labels, {.temperature = 0.5f});
  EXPECT_NEAR(warm.item(), 1.727948772357, 1e-6);
  const Array expected({6, 4}, {-0.041761683, +0.141018156, -0.147913317, +0.003904870,  //
                                +0.088554260, -0.151134131, +0.255892159, -0.244356694,  //
                                -0.037319960, -0.011705704, -0.190551884, +0.044859611,  //
                                +0.040272109, -0.027641094, -0.080394091, -0.040085795,  //
                                -0.112227966, +0.018108609, +0.273735655, +0.159774061,  //
                                -0.017618878, +0.062122252, -0.140452840, +0.054724777});
  EXPECT_TRUE(all_close(to_array(grad(warm, {u}, {.keep_graph = true})[0]), expected, {1e-6, 1e-6}));
  const Tensor cold = supcon(z, labels);
  EXPECT_NEAR(cold.item(), 4.314935511002, 4e-6) << "the default temperature is 0.07";
  const Array du = to_array(grad(cold, {u}, {.keep_graph = true})[0]);
  EXPECT_TRUE(all_close(Array({4}, {du[0], du[1], du[2], du[3]}),
                        Array({4}, {-1.705741504, +2.143347112, -1.144740887, -1.136224568}), {3e-6, 3e-6}));
  EXPECT_NEAR(supcon(z, tensor_of({0, 1, 0, 0, 2, 0})).item(), 3.396108305599, 4e-6)
      << "two anchors without positives";
}

TEST_P(Supcon, HasTheGoldenValuesPerAnchor) {
  const Tensor z = l2_normalize(to_tensor(golden_rows(), device()));
  EXPECT_TRUE(
      all_close(anchors(z, {0, 1, 0, 0, 1, 0}, 0.5f),
                Array({6}, {1.590004182, 1.741012048, 2.026443784, 1.427303640, 1.546704385, 2.036224595}),
                {1e-6, 1e-6}));
  EXPECT_TRUE(
      all_close(anchors(z, {0, 1, 0, 0, 1, 0}, 0.07f),
                Array({6}, {3.709398319, 2.680030233, 5.788206998, 2.168290828, 2.832933000, 8.710753688}),
                {2e-6, 1e-6}));
  const Array lonely = anchors(z, {0, 1, 0, 0, 2, 0}, 0.07f);
  EXPECT_EQ(lonely[1], 0);
  EXPECT_EQ(lonely[4], 0);
}

TEST_P(Supcon, MatchesReferenceAtEverySize) {
  for (const Shape& shape : std::vector<Shape>{{2, 1}, {3, 5}, {17, 16}, {48, 3}, {49, 33}, {65, 7}})
    check(unit_rows(shape, 1), cycling(shape[0], 3), 0.1f);
}

TEST_P(Supcon, MatchesReferenceAtEveryTemperature) {
  for (const float temperature : {0.01f, 0.07f, 0.5f, 10.0f})
    check(unit_rows({11, 6}, 2), cycling(11, 3), temperature, {.f32 = {2e-5, 2e-5}});
}

TEST_P(Supcon, MatchesReferenceWhereEmbeddingsCoincide) {
  Array z = unit_rows({9, 5}, 1);
  for (int d = 0; d < 5; ++d) {
    z(1, d) = z(0, d);  // of the same class
    z(4, d) = z(3, d);  // of two classes
    z(7, d) = z(6, d) = z(5, d);
  }
  check(z, {0, 0, 1, 1, 0, 2, 2, 1, 0}, 0.07f);
}

TEST_P(Supcon, MatchesReferenceWithAnchorsWithoutPositives) {
  check(unit_rows({7, 5}, 1), {0, 1, 0, 2, 3, 0, -5}, 0.07f);
  check(
      unit_rows({50, 5}, 1),
      [] {
        Labels labels(50);
        std::iota(labels.begin(), labels.end(), 0);
        labels[49] = 0;
        return labels;
      }(),
      0.07f);
}

TEST_P(Supcon, MatchesReferenceWithOneClass) {
  check(unit_rows({50, 5}, 1), Labels(50, std::numeric_limits<std::int32_t>::min()), 0.07f);
}

TEST_P(Supcon, IsZeroForOneEmbeddingAndForOnePair) {
  check(unit_rows({1, 5}, 1), {3}, 0.07f);
  check(unit_rows({2, 5}, 1), {3, 3}, 0.07f);
  check(unit_rows({2, 5}, 1), {3, 0}, 0.07f);
  for (const Labels& labels : std::vector<Labels>{{3}, {3, 3}, {3, 0}, {3, 0, 1}}) {
    const auto N = static_cast<std::int64_t>(labels.size());
    Tensor z = to_tensor(unit_rows({N, 5}, 1), device());
    const Tensor loss = supcon(z.require_grad(), tensor_of(labels));
    EXPECT_NEAR(loss.item(), 0, 2e-6);
    if (labels == Labels{3, 3}) continue;  // no class has two: nothing is computed, hence exact
    EXPECT_EQ(loss.item(), 0);
    EXPECT_TRUE(same_bits(grad(loss, {z})[0], Tensor::zeros({N, 5}, device()))) << N << " embeddings";
  }
}

TEST_P(Supcon, IsTheLogarithmOfTheOthersForEqualEmbeddings) {
  for (const std::int64_t N : {2, 10, 130}) {
    Tensor z = Tensor::full({N, 16}, 0.25f, device());
    const Tensor loss = supcon(z.require_grad(), tensor_of(cycling(N, 2)));
    const double expected = N == 2 ? 0 : std::log(static_cast<double>(N - 1));  // two of two classes: no pair
    EXPECT_NEAR(loss.item(), expected, 1e-6 * (1 + expected));
  }
}

TEST_P(Supcon, DependsOnNothingButEqualityOfLabels) {
  const Tensor z = to_tensor(unit_rows({60, 9}, 1), device());
  const Labels labels = cycling(60, 5);
  Labels renamed;
  for (const std::int32_t label : labels)
    renamed.push_back(label * 500'000'003 - 7);
  EXPECT_TRUE(same_bits(supcon(z, tensor_of(labels)), supcon(z, tensor_of(renamed))));
}

TEST_P(Supcon, TakesLongRowsWithoutOverflow) {
  Array z = integers({40, 3}, 1, 5);  // products within ±75, divided by 1/16: exponents of ±1,200
  for (double& value : z.values)
    value += 0.5;
  check(z, cycling(40, 3), 0.0625f, {.f32 = {1e-4, 1e-4}});
}

// Several tiles per run of a GPU's block, and the larger tiles of the CPU.
TEST_P(Supcon, MatchesClosedFormsOverManyTiles) {
  for (const std::int64_t N :
       {std::int64_t{330}, std::int64_t{device().kind == DeviceKind::emulated ? 199 : 700},
        std::int64_t{device().kind == DeviceKind::emulated ? 65 : 1057}}) {
    SCOPED_TRACE(N);
    check_gradient(unit_rows({N, 6}, 1), cycling(N, 5), 0.07f);
  }
  check_gradient(unit_rows({70, 131}, 1), cycling(70, 5), 0.07f);  // more columns than a block's of dz
}

TEST_P(Supcon, EqualsPyTorchThroughTheNormalisation) {
  for (const int N : {8, 64, 512}) {
    SCOPED_TRACE(N);
    Array u({N, 128});
    Labels labels;
    for (std::int64_t i = 0; i < N; ++i) {
      labels.push_back(static_cast<std::int32_t>(i * 3 % 7));
      for (std::int64_t k = 0; k < 128; ++k)
        u(i, k) = static_cast<double>((7919 * i + 104729 * k + 31 * i * k) % 2003 - 1001) / 1001 +
                  (k % 7 == labels.back() ? 0.5 : 0);
    }
    auto file = io::read_npz(tests::fixture(concat("supcon_", N, ".npz")));
    Tensor x = to_tensor(u, device());
    const Tensor loss = supcon(l2_normalize(x.require_grad()), tensor_of(labels));
    EXPECT_NEAR(loss.item(), file.at("loss").item(), 1e-6);
    const Array expected = to_array(file.at("du"));
    EXPECT_TRUE(all_close(to_array(grad(loss, {x})[0]), expected, {1e-5 * largest(expected), 1e-5}));
  }
}

TEST_P(Supcon, HoldsNoMatrixOfSimilarities) {
  const std::int64_t N = device().kind == DeviceKind::emulated ? 500 : 1000;
  Tensor z = to_tensor(unit_rows({N, 4}, 1), device());
  const Tensor labels = tensor_of(cycling(N, 5));
  z.require_grad();
  std::thread([&] {  // its scratch memory is empty
    reset_memory_peak(device());
    const std::size_t before = memory_stats(device()).in_use;
    grad(supcon(z, labels), {z});
    EXPECT_LT(memory_stats(device()).peak - before, static_cast<std::size_t>(N * N) * sizeof(float) / 2);
  })
      .join();
}

TEST_P(Supcon, IsNotFiniteIfAnEmbeddingIsNot) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Array z = unit_rows({60, 3}, 1);
  z(53, 1) = nan;
  EXPECT_TRUE(std::isnan(supcon(to_tensor(z, device()), tensor_of(cycling(60, 4))).item()));
  EXPECT_TRUE(std::isnan(supcon(Tensor::full({5, 2}, nan, device()), tensor_of(cycling(5, 1))).item()));
}

TEST_P(Supcon, RefusesWhatDoesNotFit) {
  const Tensor z = Tensor::full({2, 3}, 0.5f, device()), labels = tensor_of({0, 0});
  EXPECT_THROW(supcon(z, tensor_of({0, 1, 2})), Error);
  EXPECT_THROW(supcon(z, Tensor::zeros({2}, device())), Error) << "labels in f32";
  EXPECT_THROW(supcon(Tensor::zeros({0, 3}, device()), tensor_of({})), Error) << "an empty batch";
  EXPECT_THROW(supcon(Tensor::zeros({2, 0}, device()), labels), Error) << "no columns";
  EXPECT_THROW(supcon(Tensor::zeros({2, 3, 1}, device()), labels), Error);
  EXPECT_THROW(supcon(Tensor::zeros({2, 3}, device(), DType::bf16), labels), Error);
  EXPECT_THROW(supcon(Tensor(), labels), Error);
  EXPECT_THROW(supcon(z, Tensor()), Error);
  for (const float temperature :
       {0.0f, -0.07f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    EXPECT_THROW(supcon(z, labels, {.temperature = temperature}), Error) << temperature;
}

}  // namespace
}  // namespace clx::tests
