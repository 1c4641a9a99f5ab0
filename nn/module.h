// Things with parameters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace clx {
class Communicator;
}

namespace clx::nn {

/// What a module's tensor is. Parameters are trained; buffers follow the training; a counter is an i64
/// scalar that always lies on the cpu.
enum class Role { parameter, buffer, counter };

/// A module's tensor under PyTorch's name, such as "layer1.0.bn1.running_mean".
struct Entry {
  std::string name;
  Tensor* tensor = nullptr;
  Role role = Role::parameter;
  bool filters = false;  // (K,R,S,C) here, (K,C,R,S) in PyTorch
};
using EntryVisitor = std::function<void(const Entry&)>;

/// A function of a tensor that owns parameters. A module names its own tensors and its children in the
/// order in which PyTorch registers them; everything else follows from these two.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  virtual Tensor forward(const Tensor& x) = 0;
  Tensor operator()(const Tensor& x) { return forward(x); }

  /// Calls `visitor` with every tensor of this module and its children, names prefixed.
  void visit(const EntryVisitor& visitor, const std::string& prefix = "");

  /// Training mode or evaluation mode (the initial one) of this module and its children.
  void train(bool on);
  bool training() const { return training_; }

  /// From here on the batch statistics of this module and its children are those of all these processes'
  /// batches together in training; null: of this process's own. `across` must outlive the training.
  void synchronise(Communicator* across);
  Communicator* synchronised() const { return across_; }

  /// Moves parameters and buffers. Notes: gradients and optimizers made before stay with the old tensors.
  void to(Device device);

  /// Handles of all parameters, which share storage and gradient with the module's.
  std::vector<Tensor> parameters();
  std::int64_t parameter_count();

 protected:
  using ChildVisitor = std::function<void(const std::string& name, Module& child)>;
  virtual void each_tensor(const EntryVisitor&) {}
  virtual void each_child(const ChildVisitor&) {}

 private:
  bool training_ = false;
  Communicator* across_ = nullptr;
};

}  // namespace clx::nn
