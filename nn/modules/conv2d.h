// Convolution without bias.
#pragma once

#include "nn/initializer.h"
#include "nn/module.h"
#include "nn/precision.h"
#include "runtime/ops/conv2d.h"

namespace clx::nn {

/// How many channels come in and go out of a square window.
struct Conv2dSize {
  int in = 0, out = 0;
  int window = 3;
  int stride = 1;
};

/// clx::conv2d with its filters; the image is padded by ⌊window/2⌋.
class Conv2d final : public Module {
 public:
  Conv2d(Initializer& initializer, const Conv2dSize& size, Precision precision)
      : weight_(initializer.kaiming_normal({size.out, size.window, size.window, size.in})) {
    weight_.require_grad();
    options_.stride = size.stride;
    options_.padding = size.window / 2;
    options_.tf32 = precision == Precision::tf32;
  }
  Tensor forward(const Tensor& x) override { return conv2d(x, weight_, options_); }
  const Tensor& weight() const { return weight_; }
  const Conv2dOptions& options() const { return options_; }

 private:
  void each_tensor(const EntryVisitor& visitor) override {
    visitor({"weight", &weight_, Role::parameter, /*filters=*/true});
  }

  Tensor weight_;
  Conv2dOptions options_;
};

}  // namespace clx::nn
