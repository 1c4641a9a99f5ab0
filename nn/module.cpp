#include "nn/module.h"

namespace clx::nn {

void Module::visit(const EntryVisitor& visitor, const std::string& prefix) {
  each_tensor([&](Entry entry) {
    entry.name.insert(0, prefix);
    visitor(entry);
  });
  each_child([&](const std::string& name, Module& child) { child.visit(visitor, prefix + name + "."); });
}

void Module::train(bool on) {
  training_ = on;
  each_child([on](const std::string&, Module& child) { child.train(on); });
}

void Module::synchronise(Communicator* across) {
  across_ = across;
  each_child([across](const std::string&, Module& child) { child.synchronise(across); });
}

void Module::to(Device device) {
  visit([device](const Entry& entry) {
    if (entry.role == Role::counter) return;
    *entry.tensor = entry.tensor->to(device);
    if (entry.role == Role::parameter) entry.tensor->require_grad();
  });
}

std::vector<Tensor> Module::parameters() {
  std::vector<Tensor> all;
  visit([&](const Entry& entry) {
    if (entry.role == Role::parameter) all.push_back(*entry.tensor);
  });
  return all;
}

std::int64_t Module::parameter_count() {
  std::int64_t count = 0;
  for (const Tensor& parameter : parameters())
    count += parameter.size();
  return count;
}

}  // namespace clx::nn
