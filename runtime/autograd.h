// Reverse-mode differentiation: an eager tape whose nodes are closures.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/tensor.h"

namespace clx {

/// What is wanted of a node's closure.
class Needs {
 public:
  /// take(i) is the sum of what input i has got so far; from then on it has got nothing.
  Needs(std::vector<bool> needed, std::function<Tensor(std::size_t)> take)
      : needed_(std::move(needed)), take_(std::move(take)) {}

  /// Whether input i wants a gradient.
  bool operator[](std::size_t i) const { return needed_[i]; }
  /// For closures that can add on the way: the gradient that input i has so far from its other uses, which
  /// the closure has to add to the one it returns; undefined if there is none. Once for each input.
  Tensor take(std::size_t i) const { return take_(i); }

 private:
  std::vector<bool> needed_;
  std::function<Tensor(std::size_t)> take_;
};

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
