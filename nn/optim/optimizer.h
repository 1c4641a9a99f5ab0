// What turns gradients into a training step.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/step.h"
#include "runtime/tensor.h"

namespace clx::nn {

/// The options of all optimizers; each reads its own and leaves the others alone.
struct OptimizerOptions {
  float momentum = 0, dampening = 0;  // sgd
  bool nesterov = false;              // sgd
  float weight_decay = 0;             // sgd and radam: added to the gradient; adamw: decoupled
  double beta1 = 0.9, beta2 = 0.999;  // adamw, radam: what is kept of the running means
  double epsilon = 1e-8;              // adamw, radam
  bool decoupled = false;             // radam: weight decay as adamw's
};

/// Keeps the parameters and what is remembered of each between steps. Not copied: two optimizers would
/// write the same buffers.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Forgets the gradients, before the next backward.
  void clear_gradients();

  /// Updates every parameter that has a gradient, and leaves the others alone altogether: no weight decay, no
  /// state. `step` has the learning rate and the number of steps before this one.
  virtual void step(const Step& step) = 0;

  /// What is remembered of each parameter, as "<kind>.<index>", and its inverse: training goes on as if it
  /// had not been interrupted, given the same parameters and step count. Parameters that had no gradient
  /// yet are absent.
  /// Notes     The tensors of state() are the optimizer's own and change with its next step.
  std::map<std::string, Tensor> state() const;

  /// Throws    DataError if a name, shape or dtype fits no parameter, or a parameter's state is not whole;
  ///           then nothing has changed
  void load_state(const std::map<std::string, Tensor>& state);

 protected:
  /// One kind of buffer ("momentum"), with a tensor for each parameter, undefined until it is needed.
  struct Slot {
    std::string kind;
    std::vector<Tensor> tensors{};
  };

  /// Throws    Error if there is no parameter
  Optimizer(const char* name, std::vector<Tensor> parameters, std::vector<Slot> slots);

  std::vector<Tensor> parameters_;
  std::vector<Slot> slots_;

 private:
  const char* name_;
};

/// The optimizer `name`:
///
///   sgd      stochastic gradient descent, with momentum or Nesterov's (nn/optim/sgd.h)
///   adamw    AdamW (nn/optim/adam.h)
///   radam    RAdam (nn/optim/adam.h)
///
/// Throws    Error if the name is unknown (with a suggestion) or an option has no meaning
std::unique_ptr<Optimizer> make_optimizer(const std::string& name,
                                          std::vector<Tensor> parameters,
                                          const OptimizerOptions& options);

/// Names that make_optimizer knows.
std::vector<std::string> optimizers();

}  // namespace clx::nn
