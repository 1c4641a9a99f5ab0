// A convolution and the batch normalisation of its results.
#pragma once

#include <array>
#include <memory>

#include "nn/modules/batchnorm2d.h"
#include "nn/modules/conv2d.h"
#include "runtime/ops/fold_batchnorm.h"

namespace clx::nn {

/// batchnorm(conv(x)). In evaluation under NoGrad it is one convolution with the normalisation folded into
/// its filters. These are computed when a parameter or a running statistic was written, and kept until
/// training.
class NormalizedConv2d {
 public:
  /// gamma as for BatchNorm2d.
  NormalizedConv2d(Initializer& initializer, const Conv2dSize& size, Precision precision, float gamma = 1)
      : conv_(initializer, size, precision), batchnorm_(initializer, size.out, gamma) {}

  Tensor operator()(const Tensor& x) { return apply(x, false, {}); }
  /// relu(batchnorm(conv(x)) + residual); `residual` may be undefined.
  Tensor with_relu(const Tensor& x, const Tensor& residual = {}) { return apply(x, true, residual); }

  /// The two modules, which are named apart.
  Conv2d& conv() { return conv_; }
  BatchNorm2d& batchnorm() { return batchnorm_; }

 private:
  struct Version {
    std::weak_ptr<const void> storage;
    std::uint64_t number = 0;
  };
  // What inference computes with, and the tensors it comes from.
  struct Folded {
    FoldedFilters filters;
    Tensor prepared;
    std::array<Version, 5> from;
  };
  Tensor apply(const Tensor& x, bool relu, const Tensor& residual);
  void refresh(Folded& folded) const;

  Conv2d conv_;
  BatchNorm2d batchnorm_;
  Folded folded_;
};

}  // namespace clx::nn
