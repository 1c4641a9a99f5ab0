#include "nn/modules/residual_block.h"

#include <optional>

#include "runtime/ops/pool.h"

namespace clx::nn {
namespace {

class Bypass final : public Module {
 public:
  Bypass(Initializer& initializer, const BlockSize& size, int out) : stride_(size.stride), out_(out) {
    identity_ = size.stride == 1 && size.in == out;
    if (identity_ || size.shortcut == Shortcut::subsample) return;
    conv_.emplace(initializer, Conv2dSize{size.in, out, 1, size.stride}, size.precision);
  }
  Tensor forward(const Tensor& x) override {
    if (identity_) return x;
    return conv_ ? (*conv_)(x) : subsample(x, out_, stride_);
  }

 private:
  void each_child(const ChildVisitor& visitor) override {
    if (!conv_) return;
    visitor("0", conv_->conv());
    visitor("1", conv_->batchnorm());
  }

  int stride_, out_;
  bool identity_ = false;
  std::optional<NormalizedConv2d> conv_;
};

class BasicBlock final : public Module {
 public:
  BasicBlock(Initializer& init, const BlockSize& s)
      : conv1_(init, {s.in, s.width, 3, s.stride}, s.precision),
        conv2_(init, {s.width, s.width, 3, 1}, s.precision),
        bypass_(init, s, s.width),
        bypass_name_(s.shortcut_name) {}
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv1_.with_relu(x);
    return conv2_.with_relu(y, bypass_(x));
  }

 private:
  void each_child(const ChildVisitor& visitor) override {
    visitor("conv1", conv1_.conv());
    visitor("bn1", conv1_.batchnorm());
    visitor("conv2", conv2_.conv());
    visitor("bn2", conv2_.batchnorm());
    visitor(bypass_name_, bypass_);
  }

  NormalizedConv2d conv1_;
  NormalizedConv2d conv2_;
  Bypass bypass_;
  std::string bypass_name_;
};

class Bottleneck final : public Module {
 public:
  Bottleneck(Initializer& init, const BlockSize& s)
      : conv1_(init, {s.in, s.width, 1, 1}, s.precision),
        conv2_(init, {s.width, s.width, 3, s.stride}, s.precision),
        conv3_(init, {s.width, 4 * s.width, 1, 1}, s.precision, /*gamma=*/0),
        bypass_(init, s, 4 * s.width),
        bypass_name_(s.shortcut_name) {}
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv2_.with_relu(conv1_.with_relu(x));
    return conv3_.with_relu(y, bypass_(x));
  }

 private:
  void each_child(const ChildVisitor& visitor) override {
    visitor("conv1", conv1_.conv());
    visitor("bn1", conv1_.batchnorm());
    visitor("conv2", conv2_.conv());
    visitor("bn2", conv2_.batchnorm());
    visitor("conv3", conv3_.conv());
    visitor("bn3", conv3_.batchnorm());
    visitor(bypass_name_, bypass_);
  }

  NormalizedConv2d conv1_;
  NormalizedConv2d conv2_;
  NormalizedConv2d conv3_;
  Bypass bypass_;
  std::string bypass_name_;
};

}  // namespace

std::unique_ptr<Module> make_basic_block(Initializer& initializer, const BlockSize& size) {
  return std::make_unique<BasicBlock>(initializer, size);
}

std::unique_ptr<Module> make_bottleneck(Initializer& initializer, const BlockSize& size) {
  return std::make_unique<Bottleneck>(initializer, size);
}

}  // namespace clx::nn
