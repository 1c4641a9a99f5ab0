// One step of stochastic gradient descent.
#pragma once

#include <vector>

#include "runtime/step.h"
#include "runtime/tensor.h"

namespace clx {

struct SgdOptions {
  float momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};

/// Updates every parameter that has a gradient, and its momentum buffer, in place:
///
///   g ← ∇ + weight_decay·θ;  buf ← g on the first step, momentum·buf + (1 − dampening)·g later;
///   θ ← θ − lr·(nesterov ? g + momentum·buf : buf)
///
/// Shapes    buffers[i] like parameters[i]; undefined buffers are made when momentum needs them
/// Throws    Error if numbers or shapes differ
/// Notes     The learning rate and the step count come from `step`; one launch for all tensors.
/// Source    PyTorch torch.optim.SGD; differs from Sutskever et al. 2013 in that lr multiplies the buffer
void sgd_step(std::vector<Tensor>& parameters,
              std::vector<Tensor>& buffers,
              const Step& step,
              const SgdOptions& options);

}  // namespace clx
