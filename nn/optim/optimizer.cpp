#include "nn/optim/optimizer.h"

#include <algorithm>
#include <utility>

#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"
#include "runtime/check.h"
#include "runtime/suggest.h"

namespace clx::nn {
namespace {

std::string name_of_buffer(const std::string& kind, std::size_t index) {
  return kind + '.' + std::to_string(index);
}

}  // namespace

Optimizer::Optimizer(const char* name, std::vector<Tensor> parameters, std::vector<Slot> slots)
    : parameters_(std::move(parameters)), slots_(std::move(slots)), name_(name) {
  CLX_CHECK(!parameters_.empty(), name, ": expected at least one parameter");
  for (Slot& slot : slots_)
    slot.tensors.resize(parameters_.size());
}

void Optimizer::clear_gradients() {
  for (Tensor& parameter : parameters_)
    parameter.clear_grad();
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> state;
  for (const Slot& slot : slots_)
    for (std::size_t i = 0; i < slot.tensors.size(); ++i)
      if (slot.tensors[i].defined()) state[name_of_buffer(slot.kind, i)] = slot.tensors[i];
  return state;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& state) {
  std::vector<Slot> slots;
  std::size_t taken = 0;
  for (const Slot& slot : slots_) {
    slots.push_back({slot.kind, std::vector<Tensor>(parameters_.size())});
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const auto found = state.find(name_of_buffer(slot.kind, i));
      if (found == state.end()) continue;
      const Tensor& buffer = found->second;
      CLX_CHECK_DATA(buffer.dtype() == DType::f32 && buffer.shape() == parameters_[i].shape(), name_,
                     ": expected ", found->first, " of shape ", parameters_[i].shape(), " and f32, got ",
                     buffer.shape(), " of ", name_of(buffer.dtype()));
      slots.back().tensors[i] = buffer.to(parameters_[i].device()).clone();
      ++taken;
    }
  }
  if (taken != state.size()) {
    std::string example;
    for (const Slot& slot : slots_)
      example += (example.empty() ? "" : ", ") + slot.kind + ".0 …";
    CLX_CHECK_DATA(false, name_, ": expected the state of ", parameters_.size(), " parameters (", example,
                   "), got ", state.size() - taken, " tensors of other names");
  }
  for (const Slot& slot : slots)
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      CLX_CHECK_DATA(slot.tensors[i].defined() == slots.front().tensors[i].defined(), name_,
                     ": expected all or nothing of parameter ", i, ", got only one of ",
                     name_of_buffer(slots.front().kind, i), " and ", name_of_buffer(slot.kind, i));
  slots_ = std::move(slots);
}

std::unique_ptr<Optimizer> make_optimizer(const std::string& name,
                                          std::vector<Tensor> parameters,
                                          const OptimizerOptions& o) {
  if (name == "sgd")
    return std::make_unique<Sgd>(std::move(parameters),
                                 SgdOptions{o.momentum, o.dampening, o.weight_decay, o.nesterov});
  if (name == "adamw")
    return std::make_unique<Adamw>(std::move(parameters),
                                   AdamwOptions{o.beta1, o.beta2, o.epsilon, o.weight_decay});
  if (name == "radam")
    return std::make_unique<Radam>(std::move(parameters),
                                   RadamOptions{o.beta1, o.beta2, o.epsilon, o.weight_decay, o.decoupled});
  const std::vector<std::string> known = optimizers();
  std::string names;
  for (const std::string& other : known)
    names += (names.empty() ? "" : ", ") + other;
  throw Error(concat("optimizer: expected one of ", names, ", got ", name, did_you_mean(name, known)));
}

std::vector<std::string> optimizers() {
  return {"sgd", "adamw", "radam"};
}

}  // namespace clx::nn
