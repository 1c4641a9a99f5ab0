// Batch normalisation with its parameters and running statistics.
#pragma once

#include "nn/initializer.h"
#include "nn/module.h"

namespace clx::nn {

/// clx::batchnorm with momentum 0.1 and ε = 1e-5, in training or evaluation as the module is.
class BatchNorm2d final : public Module {
 public:
  /// gamma is what the scale starts with: 1, or 0 where a residual branch is to start as nothing.
  BatchNorm2d(Initializer& initializer, int channels, float gamma = 1);

  Tensor forward(const Tensor& x) override { return apply(x, false, {}, {}); }
  /// relu?(batchnorm(x) + residual) in one pass; `residual` and `moments` (BatchNormOptions) may be
  /// undefined.
  Tensor apply(const Tensor& x, bool relu, const Tensor& residual, const Tensor& moments);

  const Tensor& gamma() const { return weight_; }
  const Tensor& beta() const { return bias_; }
  const Tensor& running_mean() const { return running_mean_; }
  const Tensor& running_var() const { return running_var_; }

 private:
  void each_tensor(const EntryVisitor& visitor) override;

  Tensor weight_, bias_;
  Tensor running_mean_, running_var_;
  Tensor num_batches_tracked_;
};

}  // namespace clx::nn
