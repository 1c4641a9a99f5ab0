// The fully connected layer.
#pragma once

#include <cmath>
#include <utility>

#include "nn/initializer.h"
#include "nn/module.h"
#include "runtime/ops/linear.h"

namespace clx::nn {

/// clx::linear with its weight (out,in) and bias (out), both uniform in ±1/√in at first.
class Linear final : public Module {
 public:
  Linear(Initializer& initializer, int in, int out)
      : Linear(initializer.uniform({out, in}, bound(in)), initializer.uniform({out}, bound(in))) {}
  /// With these values at first; takes them over.
  Linear(Tensor weight, Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
    weight_.require_grad();
    bias_.require_grad();
  }
  Tensor forward(const Tensor& x) override { return linear(x, weight_, bias_); }

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

 private:
  static float bound(int in) { return static_cast<float>(1 / std::sqrt(static_cast<double>(in))); }
  void each_tensor(const EntryVisitor& visitor) override {
    visitor({"weight", &weight_});
    visitor({"bias", &bias_});
  }

  Tensor weight_, bias_;
};

}  // namespace clx::nn
