#include "nn/optim/sgd.h"

#include "runtime/check.h"

namespace clx::nn {
namespace {

std::string name_of_momentum(std::size_t index) {
  return "momentum." + std::to_string(index);
}

}  // namespace

Sgd::Sgd(std::vector<Tensor> parameters, const SgdOptions& options)
    : parameters_(std::move(parameters)), momentum_(parameters_.size()), options_(options) {
  CLX_CHECK(!parameters_.empty(), "sgd: expected at least one parameter");
  CLX_CHECK(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
            "sgd: nesterov needs momentum above 0 and no dampening, got ", options.momentum, " and ",
            options.dampening);
}

void Sgd::clear_gradients() {
  for (Tensor& parameter : parameters_)
    parameter.clear_grad();
}

std::map<std::string, Tensor> Sgd::state() const {
  std::map<std::string, Tensor> state;
  for (std::size_t i = 0; i < momentum_.size(); ++i)
    if (momentum_[i].defined()) state[name_of_momentum(i)] = momentum_[i];
  return state;
}

void Sgd::load_state(const std::map<std::string, Tensor>& state) {
  std::vector<Tensor> momentum(parameters_.size());
  std::size_t taken = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto found = state.find(name_of_momentum(i));
    if (found == state.end()) continue;
    const Tensor& buffer = found->second;
    CLX_CHECK_DATA(buffer.dtype() == DType::f32 && buffer.shape() == parameters_[i].shape(), "sgd: expected ",
                   found->first, " of shape ", parameters_[i].shape(), " and f32, got ", buffer.shape(),
                   " of ", name_of(buffer.dtype()));
    momentum[i] = buffer.to(parameters_[i].device()).clone();
    ++taken;
  }
  CLX_CHECK_DATA(taken == state.size(), "sgd: expected the state of ", parameters_.size(),
                 " parameters (momentum.0 …), got ", state.size() - taken, " tensors of other names");
  momentum_ = std::move(momentum);
}

}  // namespace clx::nn
