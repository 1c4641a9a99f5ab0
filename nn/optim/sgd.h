// Stochastic gradient descent over a model's parameters.
#pragma once

#include <vector>

#include "nn/optim/optimizer.h"
#include "runtime/ops/sgd_step.h"

namespace clx::nn {

/// Keeps the momentum of each parameter, as "momentum.<index>"; clx::sgd_step says what a step does.
class Sgd final : public Optimizer {
 public:
  /// Throws    Error if momentum, dampening or weight decay is negative, or nesterov lacks momentum or has
  ///           dampening
  Sgd(std::vector<Tensor> parameters, const SgdOptions& options);

  void step(const Step& step) override { sgd_step(parameters_, slots_[0].tensors, step, options_); }

 private:
  SgdOptions options_;
};

}  // namespace clx::nn
