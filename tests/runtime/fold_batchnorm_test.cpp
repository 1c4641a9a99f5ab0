#include "runtime/ops/fold_batchnorm.h"

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/batchnorm.h"
#include "tests/reference/conv2d.h"

namespace clx::tests {
namespace {

class FoldBatchNorm : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, FoldBatchNorm, every_device(), device_name);

TEST_P(FoldBatchNorm, GivesOneConvolutionThatDoesBoth) {
  for (const Shape& filters :
       {Shape{1, 1, 1, 1}, Shape{5, 3, 3, 3}, Shape{37, 1, 1, 19}, Shape{64, 3, 3, 32}}) {
    SCOPED_TRACE(concat("filters ", filters));
    const Shape channels{filters[0]};
    const Array x = uniform({2, 5, 4, filters[3]}, 1), w = uniform(filters, 2);
    const Array gamma = uniform(channels, 3, -1.5, 1.5), beta = uniform(channels, 4);
    const Array mean = uniform(channels, 5), var = uniform(channels, 6, 0.5, 2);
    const FoldedFilters folded =
        fold_batchnorm(to_tensor(w, device()), to_tensor(gamma, device()), to_tensor(beta, device()),
                       to_tensor(mean, device()), to_tensor(var, device()));
    const Array y = reference::conv2d(x, to_array(folded.w), {.bias = to_array(folded.bias)});
    const Array expected = reference::batchnorm(reference::conv2d(x, w), gamma, beta, mean, var).y;
    EXPECT_TRUE(all_close(y, expected, {1e-5, 1e-5}));
  }
}

TEST_P(FoldBatchNorm, RefusesWhatDoesNotFit) {
  const auto f32 = [](Shape shape) { return Tensor::full(std::move(shape), 1, device()); };
  const Tensor w = f32({3, 1, 1, 2}), three = f32({3}), two = f32({2});
  EXPECT_NO_THROW(fold_batchnorm(w, three, three, three, three));
  EXPECT_THROW(fold_batchnorm(w, two, three, three, three), Error);
  EXPECT_THROW(fold_batchnorm(w, three, two, three, three), Error);
  EXPECT_THROW(fold_batchnorm(w, three, three, two, three), Error);
  EXPECT_THROW(fold_batchnorm(w, three, three, three, two), Error);
  EXPECT_THROW(fold_batchnorm(f32({3, 2}), three, three, three, three), Error);
  EXPECT_THROW(fold_batchnorm(Tensor(), three, three, three, three), Error);
  EXPECT_THROW(fold_batchnorm(Tensor::zeros({3, 1, 1, 2}, device(), DType::bf16), three, three, three, three),
               Error);
}

}  // namespace
}  // namespace clx::tests
