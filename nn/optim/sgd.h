// Stochastic gradient descent over a model's parameters.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/ops/sgd_step.h"
#include "runtime/step.h"
#include "runtime/tensor.h"

namespace clx::nn {

/// Keeps the parameters and their momentum; clx::sgd_step says what a step does.
class Sgd {
 public:
  Sgd(std::vector<Tensor> parameters, const SgdOptions& options);

  /// Forgets the gradients, before the next backward.
  void clear_gradients();
  /// Updates every parameter that has a gradient. `step` has the learning rate and the step count.
  void step(const Step& step) { sgd_step(parameters_, momentum_, step, options_); }

  /// The momentum of each parameter that has one, as "momentum.<index>", and its inverse: training goes on
  /// as if it had not been interrupted, given the same parameters and step count.
  std::map<std::string, Tensor> state() const;
  /// Throws    DataError if a name or shape fits no parameter
  void load_state(const std::map<std::string, Tensor>& state);

 private:
  std::vector<Tensor> parameters_, momentum_;
  SgdOptions options_;
};

}  // namespace clx::nn
