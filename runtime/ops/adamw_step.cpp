#include "runtime/ops/adamw_step.h"

#include "kernels/adam.h"
#include "runtime/dispatch.h"
#include "runtime/ops/adam_tensors.h"

namespace clx {

void adamw_step(std::vector<Tensor>& parameters,
                std::vector<Tensor>& means,
                std::vector<Tensor>& squares,
                const Step& step,
                const AdamwOptions& options) {
  const auto tensors = adam_tensors("adamw_step", parameters, means, squares, step.device());
  if (tensors.empty()) return;
  on(step.device(), [&](const auto& backend) {
    kernels::adamw_step(backend, static_cast<int>(tensors.size()), tensors.data(),
                        {options.beta1, options.beta2, options.epsilon, options.weight_decay},
                        static_cast<const StepState*>(step.state().view().data));
  });
}

}  // namespace clx
