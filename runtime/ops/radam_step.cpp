#include "runtime/ops/radam_step.h"

#include "kernels/adam.h"
#include "runtime/dispatch.h"
#include "runtime/ops/adam_tensors.h"

namespace clx {

void radam_step(std::vector<Tensor>& parameters,
                std::vector<Tensor>& means,
                std::vector<Tensor>& squares,
                const Step& step,
                const RadamOptions& options) {
  const auto tensors = adam_tensors("radam_step", parameters, means, squares, step.device());
  if (tensors.empty()) return;
  on(step.device(), [&](const auto& backend) {
    kernels::radam_step(
        backend, static_cast<int>(tensors.size()), tensors.data(),
        {options.beta1, options.beta2, options.epsilon, options.weight_decay, options.decoupled},
        static_cast<const StepState*>(step.state().view().data));
  });
}

}  // namespace clx
