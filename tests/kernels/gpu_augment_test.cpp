// kernels/cuda/augment_images.cu on the emulator, in every order of threads, beside the CPU's kernel, which
// is held to torchvision (tests/runtime/augment_test.cpp).
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <vector>

#include "kernels/augment.h"
#include "tests/kernels/emulated_arrays.h"
#include "tests/kernels/scratch.h"

namespace clx::tests {
namespace {

AugmentRule everything() {
  AugmentRule rule;
  rule.flip = rule.resize = true;
  rule.scale_low = 0.2, rule.scale_high = 1;
  rule.ratio_low = 0.75, rule.ratio_high = 4 / 3.0;
  rule.log_ratio_low = std::log(rule.ratio_low), rule.log_ratio_high = std::log(rule.ratio_high);
  rule.jitter_p = 0.8f, rule.brightness = rule.contrast = rule.saturation = 0.4f, rule.hue = 0.1f;
  rule.gray_p = 0.2f;
  rule.blur_p = 0.5f, rule.sigma_low = 0.1f, rule.sigma_high = 2;
  return rule;
}

// More pixels than a block has threads, and fewer; more images than the grid's threads of one draw.
TEST(GpuAugment, IsThatOfTheCpu) {
  EmulatedKernels gpu;
  test::ScratchCpu cpu;
  StepState state;
  state.seed = 6;
  state.epoch = 2;
  for (const kernels::AugmentShape& shape :
       {kernels::AugmentShape{3, 11, 13, 3, 19, 21, 1, false, everything()},
        kernels::AugmentShape{40, 12, 3, 3, 12, 12, 0, true, everything()}}) {
    std::vector<std::uint8_t> images(static_cast<std::size_t>(40 * shape.H * shape.W * 3));
    std::vector<std::int64_t> samples;
    for (std::size_t i = 0; i < images.size(); ++i)
      images[i] = static_cast<std::uint8_t>(philox(1, Purpose::test, 0, i).v[0]);
    for (int n = 0; n < shape.N; ++n)
      samples.push_back(n * 7 % 40);
    const kernels::Normalization by{{0.5f, 0.4f, 0.3f}, {0.2f, 0.3f, 0.4f}};
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const std::int64_t size = std::int64_t(shape.N) * shape.height * shape.width * 3;
      const HostArray expected(size, DType::f32), y(size, dtype);
      kernels::augment_images(cpu(), shape, by, images.data(), samples.data(), &state, expected.view());
      kernels::augment_images(gpu(), shape, by, images.data(), samples.data(), &state, y.view());
      expect_near(y, expected.values(), 3e-6, 1e-5, "y");
    }
  }
}

}  // namespace
}  // namespace clx::tests
