// Reverse-mode differentiation: an eager tape whose nodes are closures.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "runtime/tensor.h"

namespace clx {

/// Which inputs of a node want a gradient.
using Needs = std::vector<bool>;

/// Maps dy = ∂L/∂y to one gradient per input; undefined tensors stand where none is needed.
using Backward = std::function<std::vector<Tensor>(const Tensor& dy, const Needs& needs)>;

/// Notes that `y` was computed from `inputs`, if any of them has history and gradients are enabled.
/// The closure keeps what it needs in `Saved`; it must not hold `y` with its node.
Tensor record(const char* op, Tensor y, std::vector<Tensor> inputs, Backward backward);

/// A tensor kept for backward: its storage and the version it had. get() throws Error if the contents
/// were changed in place since.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor)
      : tensor_(tensor.detach()), version_(tensor.defined() ? tensor.version() : 0) {}
  const Tensor& get(const char* op) const;

 private:
  Tensor tensor_;
  std::uint64_t version_ = 0;
};

/// Adds ∂loss/∂leaf to grad() of every leaf that `loss` (one element) depends on. Frees the graph as it
/// goes. Throws Error if loss has no history.
void backward(const Tensor& loss);

struct GradOptions {
  Tensor dy{};              // ∂L/∂y; ones if undefined
  bool keep_graph = false;  // so that the same graph can be differentiated again
};

/// ∂L/∂x for each of xs, which may be leaves or intermediate results; leaves' grad() is not touched.
/// Throws Error if y does not depend on one of them.
std::vector<Tensor> grad(const Tensor& y, const std::vector<Tensor>& xs, const GradOptions& options = {});

/// While one lives on this thread, ops record nothing.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};
bool grad_enabled();

}  // namespace clx
