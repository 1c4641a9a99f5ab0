// kernels/cuda/adam.cu on the emulator against plain loops in double and against the cpu.
#include <gtest/gtest.h>
#include <vector>

#include "kernels/adam.h"
#include "tests/kernels/emulated_arrays.h"
#include "tests/reference/adam.h"

namespace clx::tests {
namespace {

template <class Backend>
void step_of(bool radam,
             const Backend& backend,
             const std::vector<kernels::AdamTensor>& tensors,
             const kernels::AdamConstants& constants,
             const StepState& state) {
  const auto count = static_cast<int>(tensors.size());
  if (radam)
    kernels::radam_step(backend, count, tensors.data(), constants, &state);
  else
    kernels::adamw_step(backend, count, tensors.data(), constants, &state);
}

struct AdamCase {
  bool radam;
  kernels::AdamConstants constants;
  std::int32_t first;  // steps done before
};
class GpuAdam : public testing::TestWithParam<AdamCase> {};
INSTANTIATE_TEST_SUITE_P(Options,
                         GpuAdam,
                         testing::Values(AdamCase{false, {}, 0},
                                         AdamCase{false, {0.8, 0.95, 1e-2, 0.1}, 90},
                                         AdamCase{true, {.weight_decay = 0.1}, 4},
                                         AdamCase{true, {0.8, 0.95, 1e-2, 0.1, true}, 4}));

HostArray zeros(std::int64_t n) {
  HostArray a(n, DType::f32);
  for (std::int64_t i = 0; i < n; ++i)
    a.set(i, 0);
  return a;
}

// The tensors of a test, in memory of their own.
struct Arrays {
  explicit Arrays(const std::vector<std::int64_t>& sizes) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto seed = static_cast<unsigned>(4 * i);
      const std::int64_t odd = i % 7 == 0 ? 1 : 0;
      theta.push_back(normal_array(sizes[i], seed, DType::f32, 0, 1, odd));
      gradient.push_back(normal_array(sizes[i], seed + 1));
      mean.push_back(zeros(sizes[i]));
      square.push_back(zeros(sizes[i]));
      tensors.push_back({theta[i].as<float>(), gradient[i].as<float>(), mean[i].as<float>(),
                         square[i].as<float>(), sizes[i]});
    }
  }
  std::vector<HostArray> theta, gradient, mean, square;
  std::vector<kernels::AdamTensor> tensors;
};

reference::Array to_reference(const HostArray& a) {
  reference::Array array({a.size()});
  array.values = a.values();
  return array;
}

// More tensors than one launch takes, of every kind of size: none, one, ragged, a tile, a tile and one,
// several. Some begin off a vector's boundary.
TEST_P(GpuAdam, TwoStepsOverManyTensorsFollowTheFormulaAndTheCpu) {
  const AdamCase option = GetParam();
  std::vector<std::int64_t> sizes;
  const std::vector<std::int64_t> kinds{1, 7, 0, 64, 4096, 33, 4097, 0, 12301, 2};
  for (std::size_t i = 0; i < 109; ++i)
    sizes.push_back(i < 10 || i >= 99 ? kinds[i % kinds.size()] : 5);
  EmulatedKernels gpu;
  Arrays arrays(sizes), cpu_arrays(sizes);
  std::vector<reference::Array> theta, mean, square;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    theta.push_back(to_reference(arrays.theta[i]));
    mean.push_back(to_reference(arrays.mean[i]));
    square.push_back(to_reference(arrays.square[i]));
  }
  const kernels::AdamConstants& c = option.constants;
  StepState state;
  for (int t = 0; t < 2; ++t) {
    state.step = option.first + t;
    state.learning_rate = t == 0 ? 0.1f : 0.05f;
    step_of(option.radam, gpu(), arrays.tensors, c, state);
    step_of(option.radam, Cpu{}, cpu_arrays.tensors, c, state);
    const auto follow = option.radam ? reference::radam_step : reference::adamw_step;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      follow(theta[i], to_reference(arrays.gradient[i]), mean[i], square[i], state.step + 1,
             {state.learning_rate, c.beta1, c.beta2, c.epsilon, c.weight_decay, c.decoupled});
      expect_near(arrays.theta[i], theta[i].values, 1e-6, 1e-6, "theta");
      expect_near(arrays.mean[i], mean[i].values, 1e-6, 1e-7, "mean");
      expect_near(arrays.square[i], square[i].values, 1e-6, 1e-9, "square");
      expect_near(arrays.theta[i], cpu_arrays.theta[i].values(), 1e-6, 1e-6, "theta on the cpu");
      expect_near(arrays.square[i], cpu_arrays.square[i].values(), 1e-6, 1e-9, "square on the cpu");
    }
  }
}

}  // namespace
}  // namespace clx::tests
