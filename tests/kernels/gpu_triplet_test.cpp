// kernels/cuda/triplet.cu on the emulator where shared memory does not hold an anchor's positives.
#include <gtest/gtest.h>
#include <vector>

#include "kernels/triplet.h"
#include "tests/kernels/emulated_arrays.h"
#include "tests/kernels/scratch.h"

namespace clx::tests {
namespace {

TEST(GpuTriplet, SortsMorePositivesThanSharedMemoryHoldsAsTheCpuDoes) {
  const int N = 1031;
  const kernels::TripletShape s{N, 2, 0.3f, false};
  const HostArray x = normal_array(2 * N, 1), dx(2 * N, DType::f32), dx_on_cpu(2 * N, DType::f32);
  std::vector<std::int32_t> labels(N);
  for (int i = 0; i < N; ++i)
    labels[static_cast<std::size_t>(i)] = i % 200 == 7;  // 1025 of one class
  std::vector<float> laplacian(std::size_t(N) * N), laplacian_on_cpu(laplacian.size());
  float loss = 0, loss_on_cpu = 0;
  std::int64_t active = 0, active_on_cpu = 0;
  EmulatedKernels gpu;
  kernels::triplet_forward(gpu(), s, x.as<float>(), labels.data(), laplacian.data(), &loss, &active);
  test::ScratchCpu cpu;
  kernels::triplet_forward(cpu(), s, x.as<float>(), labels.data(), laplacian_on_cpu.data(), &loss_on_cpu,
                           &active_on_cpu);
  EXPECT_GT(active, 500000);
  // Rounding decides about the few triplets at the edges.
  EXPECT_NEAR(static_cast<double>(active), static_cast<double>(active_on_cpu), 1e-5 * active_on_cpu);
  EXPECT_NEAR(loss, loss_on_cpu, 1e-5 * loss_on_cpu);
  const float dloss = 1;
  kernels::triplet_backward(gpu(), s, x.as<float>(), laplacian.data(), &dloss, dx.as<float>());
  kernels::triplet_backward(cpu(), s, x.as<float>(), laplacian_on_cpu.data(), &dloss, dx_on_cpu.as<float>());
  expect_near(dx, dx_on_cpu.values(), 1e-4, 1e-6, "dx");
}

}  // namespace
}  // namespace clx::tests
