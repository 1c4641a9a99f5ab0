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
    bn_.emplace(initializer, out);
  }
  Tensor forward(const Tensor& x) override {
    if (identity_) return x;
    return conv_ ? (*bn_)((*conv_)(x)) : subsample(x, out_, stride_);
  }

 private:
  void each_child(const ChildVisitor& visitor) override {
    if (!conv_) return;
    visitor("0", *conv_);
    visitor("1", *bn_);
  }

  int stride_, out_;
  bool identity_ = false;
  std::optional<Conv2d> conv_;
  std::optional<BatchNorm2d> bn_;
};

class BasicBlock final : public Module {
 public:
  BasicBlock(Initializer& init, const BlockSize& s)
      : conv1_(init, {s.in, s.width, 3, s.stride}, s.precision),
        bn1_(init, s.width),
        conv2_(init, {s.width, s.width, 3, 1}, s.precision),
        bn2_(init, s.width),
        bypass_(init, s, s.width),
        bypass_name_(s.shortcut_name) {}
  Tensor forward(const Tensor& x) override {
    const Tensor y = bn1_.with_relu(conv1_(x));
    return bn2_.with_relu(conv2_(y), bypass_(x));
  }

 private:
  void each_child(const ChildVisitor& visitor) override {
    visitor("conv1", conv1_);
    visitor("bn1", bn1_);
    visitor("conv2", conv2_);
    visitor("bn2", bn2_);
    visitor(bypass_name_, bypass_);
  }

  Conv2d conv1_;
  BatchNorm2d bn1_;
  Conv2d conv2_;
  BatchNorm2d bn2_;
  Bypass bypass_;
  std::string bypass_name_;
};

class Bottleneck final : public Module {
 public:
  Bottleneck(Initializer& init, const BlockSize& s)
      : conv1_(init, {s.in, s.width, 1, 1}, s.precision),
        bn1_(init, s.width),
        conv2_(init, {s.width, s.width, 3, s.stride}, s.precision),
        bn2_(init, s.width),
        conv3_(init, {s.width, 4 * s.width, 1, 1}, s.precision),
        bn3_(init, 4 * s.width, /*gamma=*/0),
        bypass_(init, s, 4 * s.width),
        bypass_name_(s.shortcut_name) {}
  Tensor forward(const Tensor& x) override {
    Tensor y = bn1_.with_relu(conv1_(x));
    y = bn2_.with_relu(conv2_(y));
    return bn3_.with_relu(conv3_(y), bypass_(x));
  }

 private:
  void each_child(const ChildVisitor& visitor) override {
    visitor("conv1", conv1_);
    visitor("bn1", bn1_);
    visitor("conv2", conv2_);
    visitor("bn2", bn2_);
    visitor("conv3", conv3_);
    visitor("bn3", bn3_);
    visitor(bypass_name_, bypass_);
  }

  Conv2d conv1_;
  BatchNorm2d bn1_;
  Conv2d conv2_;
  BatchNorm2d bn2_;
  Conv2d conv3_;
  BatchNorm2d bn3_;
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
