#include "runtime/ops/supcon.h"

#include <limits>

#include "runtime/ops/l2_normalize.h"
#include "tests/check_op.h"
#include "tests/devices.h"
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
  static void check(const Array& z, const Labels& labels, float temperature) {
    SCOPED_TRACE(concat("z ", z.shape, ", temperature ", temperature));
    check_op(
        device(), {{z}},
        [&](const auto& in) { return supcon(in[0], tensor_of(labels), {.temperature = temperature}); },
        [&](const auto& in) { return reference::supcon(in[0], labels, temperature); });
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

TEST_P(Supcon, MatchesReferenceAtEverySize) {
  for (const Shape& shape : std::vector<Shape>{{2, 1}, {3, 5}, {17, 16}, {49, 33}, {65, 7}, {97, 130}})
    check(unit_rows(shape, 1), cycling(shape[0], 3), 0.1f);
}

}  // namespace
}  // namespace clx::tests
