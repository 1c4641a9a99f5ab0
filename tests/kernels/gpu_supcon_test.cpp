// kernels/cuda/supcon.cu and l2_normalize.cu on the emulator against the references.
#include <cstdint>
#include <gtest/gtest.h>
#include <vector>

#include "kernels/l2_normalize.h"
#include "kernels/supcon.h"
#include "tests/kernels/emulated_arrays.h"
#include "tests/reference/l2_normalize.h"
#include "tests/reference/supcon.h"

namespace clx::tests {
namespace {

using reference::Array;

// One row; one past a tile; three tiles cut into runs; runs of several tiles; more columns than a block's.
class GpuSupcon : public testing::TestWithParam<kernels::SupconShape> {
 protected:
  const kernels::SupconShape s = GetParam();
  EmulatedKernels gpu;
};
INSTANTIATE_TEST_SUITE_P(Sizes,
                         GpuSupcon,
                         testing::Values(kernels::SupconShape{1, 3},
                                         kernels::SupconShape{65, 17},
                                         kernels::SupconShape{130, 2},
                                         kernels::SupconShape{199, 5},
                                         kernels::SupconShape{7, 129}));

TEST_P(GpuSupcon, ForwardAndBackwardFollowTheirFormulas) {
  constexpr float kTemperature = 0.5f;
  const std::int64_t size = std::int64_t(s.N) * s.D;
  const HostArray z = normal_array(size, 1, DType::f32, 0, 0.5), dz(size, DType::f32);
  const HostArray log_sum(s.N, DType::f32), pull(s.N, DType::f32), anchors(s.N, DType::f32);
  const HostArray loss(1, DType::f32);
  HostArray dloss(1, DType::f32);
  dloss.set(0, -2);
  std::vector<std::int32_t> labels;
  for (int i = 0; i < s.N; ++i)
    labels.push_back(i * 7 % 3);
  kernels::supcon_forward(gpu(), s, z.as<float>(), labels.data(), kTemperature, log_sum.as<float>(),
                          pull.as<float>(), anchors.as<float>(), loss.as<float>());
  kernels::supcon_backward(gpu(), s, z.as<float>(), labels.data(), kTemperature, log_sum.as<float>(),
                           pull.as<float>(), dloss.as<float>(), dz.as<float>());
  const Array x({s.N, s.D}, z.values());
  expect_near(anchors, reference::supcon_anchors(x, labels, kTemperature).values, 1e-5, 1e-5, "anchor_loss");
  expect_near(loss, reference::supcon(x, labels, kTemperature).values, 1e-5, 1e-6, "loss");
  std::vector<double> expected = reference::supcon_gradient(x, labels, kTemperature).values;
  for (double& value : expected)
    value *= -2;
  expect_near(dz, expected, 1e-5, 1e-6, "dz");
}

TEST(GpuL2Normalize, ForwardAndBackwardFollowTheirFormulas) {
  EmulatedKernels gpu;
  for (const int cols : {1, 33, 128}) {
    constexpr int kRows = 9;
    const std::int64_t size = std::int64_t(kRows) * cols;
    const HostArray x = normal_array(size, 1), y(size, DType::f32), norm(kRows, DType::f32);
    const HostArray dy = normal_array(size, 2), dx(size, DType::f32);
    kernels::l2_normalize_forward(gpu(), kRows, cols, x.as<float>(), y.as<float>(), norm.as<float>());
    kernels::l2_normalize_backward(gpu(), kRows, cols, y.as<float>(), norm.as<float>(), dy.as<float>(),
                                   dx.as<float>());
    expect_near(y, reference::l2_normalize(Array({kRows, cols}, x.values())).values, 1e-6, 1e-7, "y");
    std::vector<double> expected;
    for (int i = 0; i < kRows; ++i) {
      double along = 0;
      for (int j = 0; j < cols; ++j)
        along += y[i * cols + j] * dy[i * cols + j];
      for (int j = 0; j < cols; ++j)
        expected.push_back((dy[i * cols + j] - y[i * cols + j] * along) / norm[i]);
    }
    expect_near(dx, expected, 1e-5, 1e-6, "dx");
  }
}

}  // namespace
}  // namespace clx::tests
