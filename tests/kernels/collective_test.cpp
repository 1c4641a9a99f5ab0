// kernels/cuda/collective.cu on the emulator.
#include "kernels/collective.h"

#include <gtest/gtest.h>
#include <vector>

#include "tests/kernels/emulated_arrays.h"

namespace clx::tests {
namespace {

// One, one past a warp, a whole number of vectors, one past a block's tile.
class SumParts : public testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(Sizes, SumParts, testing::Values(1, 33, 64, 1024, 1025));

TEST_P(SumParts, AddsThePartsInOrderToTheBit) {
  const std::int64_t n = GetParam();
  for (const int parts : {1, 2, 5})
    for (const int offset : {0, 1}) {
      EmulatedKernels gpu;
      const HostArray x = normal_array(parts * n, 1, DType::f32, 1e3, 1, offset), y(n, DType::f32, offset);
      std::vector<float> expected(x.as<float>(), x.as<float>() + n);
      for (int part = 1; part < parts; ++part)
        for (std::int64_t i = 0; i < n; ++i)
          expected[static_cast<std::size_t>(i)] += x.as<float>()[part * n + i];
      kernels::sum_parts(gpu(), n, parts, x.as<float>(), y.as<float>());
      EXPECT_EQ(std::vector<float>(y.as<float>(), y.as<float>() + n), expected);
      kernels::sum_parts(gpu(), n, parts, x.as<float>(), x.as<float>());
      EXPECT_EQ(std::vector<float>(x.as<float>(), x.as<float>() + n), expected) << "into the first part";
    }
}

}  // namespace
}  // namespace clx::tests
