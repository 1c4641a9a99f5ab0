#include "runtime/ops/ladder.h"

#include <gtest/gtest.h>
#include <vector>

#include "runtime/check.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/convert.h"
#include "runtime/ops/linear.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

/// −2 … 2, so that every sum is exact.
Tensor small_integers(const Shape& shape, DType dtype = DType::bf16) {
  std::vector<float> numbers(static_cast<std::size_t>(shape.size()));
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = static_cast<float>(i * 7 % 5) - 2;
  return convert(Tensor::from_host(shape, numbers, kEmulated), dtype);
}

TEST(Ladder, EveryRungComputesWhatTheOperationDoes) {
  const Tensor a = small_integers({9, 24}), b = small_integers({24, 16});
  for (const std::string& rung : ladder_matmul_rungs(kEmulated))
    EXPECT_EQ(ladder_matmul(rung, a, b).to_host(), matmul(a, b).to_host()) << rung;
  const Tensor x = small_integers({2, 5, 6, 8}), w = small_integers({12, 3, 3, 8});
  const Tensor y = conv2d(x, convert(w, DType::f32), {.stride = 2, .padding = 1});
  for (const std::string& rung : ladder_conv_rungs(kEmulated))
    EXPECT_EQ(ladder_conv(rung, x, w, 2, 1).to_host(), convert(y, DType::f32).to_host()) << rung;
  for (const std::string& rung : ladder_sum_rungs(kEmulated))
    EXPECT_EQ(ladder_sum(rung, small_integers({104}, DType::f32)).item(), -1) << rung;
}

TEST(Ladder, HasItsRungsInOrderAndNoneOnTheCpu) {
  EXPECT_EQ(ladder_matmul_rungs(kEmulated).front(), "1_naive");
  EXPECT_EQ(ladder_conv_rungs(kEmulated).size(), 4u);
  EXPECT_EQ(ladder_sum_rungs(kEmulated).back(), "5_vectorised");
  EXPECT_TRUE(ladder_matmul_rungs(kCpu).empty());
  EXPECT_TRUE(ladder_conv_rungs(kCpu).empty());
  EXPECT_TRUE(ladder_sum_rungs(kCpu).empty());
}

TEST(Ladder, RefusesWhatItsKernelsDoNotTake) {
  const Tensor a = small_integers({9, 24}), b = small_integers({24, 16});
  EXPECT_THROW(ladder_matmul("7_magic", a, b), Error);
  EXPECT_THROW(ladder_matmul("1_naive", a.to(kCpu), b.to(kCpu)), Error);
  EXPECT_THROW(ladder_matmul("1_naive", a, small_integers({16, 24})), Error);
  EXPECT_THROW(ladder_matmul("1_naive", a, small_integers({24, 9})), Error);
  EXPECT_THROW(ladder_matmul("1_naive", a, small_integers({24, 16}, DType::f32)), Error);
  const Tensor x = small_integers({1, 2, 2, 8});
  EXPECT_THROW(ladder_conv("1_direct", x, small_integers({4, 3, 3, 16}), 1, 1), Error);
  EXPECT_THROW(ladder_conv("1_direct", x, small_integers({4, 3, 3, 8}), 1, 0), Error);
  EXPECT_THROW(ladder_conv("1_direct", small_integers({1, 2, 2, 3}), small_integers({4, 1, 1, 3}), 1, 0),
               Error);
  EXPECT_THROW(ladder_sum("1_naive", small_integers({8})), Error);
  EXPECT_THROW(ladder_sum("1_naive", Tensor({0}, kEmulated)), Error);
}

}  // namespace
}  // namespace clx::tests
