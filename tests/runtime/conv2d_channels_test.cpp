// Convolutions whose filters do not split into equal blocks of the library's layouts.
#include <gtest/gtest.h>

#include "runtime/ops/conv2d.h"

namespace clx {
namespace {

TEST(Conv2dChannels, any_number_of_output_channels_is_computed) {
  for (const int K : {48, 64, 80, 96, 128, 192, 256, 320, 384})
    for (const int C : {3, 32, 128}) {
      const Tensor y = conv2d(Tensor::full({1, 4, 4, C}, 1), Tensor::full({K, 3, 3, C}, 1),
                              {.padding = 1, .algorithm = Conv2dAlgorithm::direct});
      const std::vector<float> values = y.to_host();
      for (int k = 0; k < K; ++k) {
        ASSERT_EQ(values[static_cast<std::size_t>(k)], 4 * C) << K << " channels, a corner";
        ASSERT_EQ(values[static_cast<std::size_t>(5 * K + k)], 9 * C) << K << " channels, the middle";
      }
    }
}

}  // namespace
}  // namespace clx
