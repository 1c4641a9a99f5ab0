// What contrastive losses see of a network's features.
#pragma once

#include "nn/initializer.h"
#include "nn/module.h"
#include "nn/modules/linear.h"
#include "runtime/ops/relu.h"

namespace clx::nn {

/// W₂·relu(W₁·f + b₁) + b₂, not normalised. Its parameters are 0.{weight,bias} and 2.{weight,bias}, as those
/// of PyTorch's Sequential(Linear, ReLU, Linear).
///
/// Shapes    (N,in) f32 → (N,out) f32; the hidden layer is as wide as the input
/// Notes     Weights begin normal with standard deviation 0.01, biases 0, so that the output is small at
///           first.
/// Source    Khosla et al. 2020, arXiv:2004.11362, §3. Differs from the paper: the initial values
class ProjectionHead final : public Module {
 public:
  ProjectionHead(Initializer& initializer, int in, int out)
      : hidden_(initializer.normal({in, in}, kDeviation), initializer.constant({in}, 0)),
        output_(initializer.normal({out, in}, kDeviation), initializer.constant({out}, 0)) {}
  Tensor forward(const Tensor& features) override { return output_(relu(hidden_(features))); }

 private:
  static constexpr float kDeviation = 0.01f;
  void each_child(const ChildVisitor& visitor) override {
    visitor("0", hidden_);
    visitor("2", output_);
  }

  Linear hidden_, output_;
};

}  // namespace clx::nn
