// AdamW and RAdam over a model's parameters.
#pragma once

#include <vector>

#include "nn/optim/optimizer.h"
#include "runtime/ops/adamw_step.h"
#include "runtime/ops/radam_step.h"

namespace clx::nn {

/// Keeps the running means of each parameter's gradient and of its square, as "exp_avg.<index>" and
/// "exp_avg_sq.<index>"; clx::adamw_step says what a step does.
class Adamw final : public Optimizer {
 public:
  /// Throws    Error if a β is outside [0,1), or ε or weight decay is negative
  Adamw(std::vector<Tensor> parameters, const AdamwOptions& options);

  void step(const Step& step) override {
    adamw_step(parameters_, slots_[0].tensors, slots_[1].tensors, step, options_);
  }

 private:
  AdamwOptions options_;
};

/// Keeps what Adamw keeps; clx::radam_step says what a step does.
class Radam final : public Optimizer {
 public:
  /// Throws    as Adamw
  Radam(std::vector<Tensor> parameters, const RadamOptions& options);

  void step(const Step& step) override {
    radam_step(parameters_, slots_[0].tensors, slots_[1].tensors, step, options_);
  }

 private:
  RadamOptions options_;
};

}  // namespace clx::nn
