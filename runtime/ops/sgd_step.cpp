#include "runtime/ops/sgd_step.h"

#include "kernels/sgd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

void sgd_step(std::vector<Tensor>& parameters,
              std::vector<Tensor>& buffers,
              const Step& step,
              const SgdOptions& options) {
  CLX_CHECK(buffers.empty() || buffers.size() == parameters.size(), "sgd_step: expected ", parameters.size(),
            " momentum buffers, got ", buffers.size());
  buffers.resize(parameters.size());
  std::vector<kernels::SgdTensor> tensors;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Tensor& theta = parameters[i];
    const Tensor gradient = theta.grad();
    if (!gradient.defined()) continue;
    require("sgd_step", "the parameter", theta, DType::f32, theta.shape(), step.device());
    require("sgd_step", "the gradient", gradient, DType::f32, theta.shape(), step.device());
    if (options.momentum != 0 && !buffers[i].defined())
      buffers[i] = Tensor::zeros(theta.shape(), theta.device());
    if (buffers[i].defined())
      require("sgd_step", "the buffer", buffers[i], DType::f32, theta.shape(), step.device());
    tensors.push_back({theta.mutable_data(), gradient.data(),
                       buffers[i].defined() ? buffers[i].mutable_data() : nullptr, theta.size()});
  }
  if (tensors.empty()) return;
  on(step.device(), [&](const auto& backend) {
    kernels::sgd_step(backend, static_cast<int>(tensors.size()), tensors.data(),
                      {options.momentum, options.dampening, options.weight_decay, options.nesterov},
                      static_cast<const StepState*>(step.state().view().data));
  });
}

}  // namespace clx
