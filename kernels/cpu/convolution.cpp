#include "kernels/cpu/convolution.h"

#include <map>
#include <memory>

namespace clx::kernels {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr std::size_t kCacheLimit = 512;  // shapes; a network has a few dozen

Type type_of(DType dtype) {
  return dtype == DType::bf16 ? Type::bf16 : Type::f32;
}

Desc x_desc(const ConvolutionKey& key) {
  const Conv2dShape& s = key.shape;
  return {{s.N, s.C, s.H, s.W}, type_of(key.dtype), Tag::nhwc};
}
Desc y_desc(const ConvolutionKey& key) {
  const Conv2dShape& s = key.shape;
  return {{s.N, s.K, s.P(), s.Q()}, type_of(key.dtype), Tag::nhwc};
}
Desc w_desc(const ConvolutionKey& key, Tag tag) {
  const Conv2dShape& s = key.shape;
  const bool gradient = key.kind == ConvolutionKind::backward_weight;
  return {{s.K, s.C, s.R, s.S}, gradient ? Type::f32 : type_of(key.dtype), tag};
}

struct Window {
  dnnl::memory::dims strides, before, after;
};
// oneDNN wants the padding after the image to be what the last window needs, not what was given.
Window window_of(const Conv2dShape& s) {
  const int down = (s.P() - 1) * s.stride + s.R - s.H - s.padding;
  const int right = (s.Q() - 1) * s.stride + s.S - s.W - s.padding;
  return {{s.stride, s.stride}, {s.padding, s.padding}, {down, right}};
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

dnnl::convolution_forward::primitive_desc forward_desc(const ConvolutionKey& key,
                                                       const dnnl::primitive_attr& attr) {
  const Window window = window_of(key.shape);
  const auto kind = dnnl::prop_kind::forward_training;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const Desc x = x_desc(key), w = w_desc(key, Tag::any), y = y_desc(key);
  const auto desc = key.bias ? dnnl::convolution_forward::desc(kind, algorithm, x, w,
                                                               Desc({key.shape.K}, Type::f32, Tag::a), y,
                                                               window.strides, window.before, window.after)
                             : dnnl::convolution_forward::desc(kind, algorithm, x, w, y, window.strides,
                                                               window.before, window.after);
  return {desc, attr, onednn_engine()};
}

dnnl::memory unbound(const Desc& desc) {
  return dnnl::memory(desc, onednn_engine(), DNNL_MEMORY_NONE);
}

}  // namespace

std::array<int, 16> ConvolutionKey::numbers() const {
  return {static_cast<int>(kind),
          shape.N,
          shape.H,
          shape.W,
          shape.C,
          shape.K,
          shape.R,
          shape.S,
          shape.stride,
          shape.padding,
          static_cast<int>(dtype),
          bias,
          residual,
          relu,
          threads,
          0};
}

Convolution::Convolution(const ConvolutionKey& key)
    : kind_(key.kind), x_desc_(x_desc(key)), w_desc_(w_desc(key, Tag::ohwi)), y_desc_(y_desc(key)) {
  x_ = unbound(x_desc_);
  y_ = unbound(y_desc_);
  w_user_ = unbound(w_desc_);
  switch (key.kind) {
    case ConvolutionKind::forward:
      make_forward(key);
      break;
    case ConvolutionKind::backward_data:
      make_backward_data(key);
      break;
    case ConvolutionKind::backward_weight:
      make_backward_weight(key);
      break;
  }
}

void Convolution::make_forward(const ConvolutionKey& key) {
  dnnl::primitive_attr attr = attributes();
  dnnl::post_ops after;
  if (key.residual) after.append_binary(dnnl::algorithm::binary_add, y_desc_);
  if (key.relu) after.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  attr.set_post_ops(after);
  const auto desc = forward_desc(key, attr);
  arguments_ = {{DNNL_ARG_SRC, x_}, {DNNL_ARG_DST, y_}};
  if (key.bias) {
    bias_ = unbound(desc.bias_desc());
    arguments_.emplace(DNNL_ARG_BIAS, bias_);
  }
  if (key.residual) {
    residual_ = unbound(y_desc_);
    arguments_.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, residual_);
  }
  finish(dnnl::convolution_forward(desc), desc.weights_desc(), desc.scratchpad_desc(), DNNL_ARG_WEIGHTS);
}

void Convolution::make_backward_data(const ConvolutionKey& key) {
  const Window window = window_of(key.shape);
  const dnnl::convolution_backward_data::primitive_desc desc(
      {dnnl::algorithm::convolution_direct, x_desc_, w_desc(key, Tag::any), y_desc_, window.strides,
       window.before, window.after},
      attributes(), onednn_engine(), forward_desc(key, {}));
  arguments_ = {{DNNL_ARG_DIFF_DST, y_}, {DNNL_ARG_DIFF_SRC, x_}};
  finish(dnnl::convolution_backward_data(desc), desc.weights_desc(), desc.scratchpad_desc(),
         DNNL_ARG_WEIGHTS);
}

void Convolution::make_backward_weight(const ConvolutionKey& key) {
  const Window window = window_of(key.shape);
  ConvolutionKey hint = key;
  hint.kind = ConvolutionKind::forward;
  const dnnl::convolution_backward_weights::primitive_desc desc(
      {dnnl::algorithm::convolution_direct, x_desc_, w_desc(key, Tag::any), y_desc_, window.strides,
       window.before, window.after},
      attributes(), onednn_engine(), forward_desc(hint, {}));
  arguments_ = {{DNNL_ARG_SRC, x_}, {DNNL_ARG_DIFF_DST, y_}};
  finish(dnnl::convolution_backward_weights(desc), desc.diff_weights_desc(), desc.scratchpad_desc(),
         DNNL_ARG_DIFF_WEIGHTS);
}

void Convolution::finish(const dnnl::primitive& primitive,
                         const Desc& w,
                         const Desc& scratchpad,
                         int weight_argument) {
  primitive_ = primitive;
  scratchpad_ = unbound(scratchpad);
  arguments_.emplace(DNNL_ARG_SCRATCHPAD, scratchpad_);
  reorders_ = w != w_desc_;
  w_ = reorders_ ? unbound(w) : w_user_;
  arguments_.emplace(weight_argument, w_);
  if (!reorders_) return;
  const bool out = kind_ == ConvolutionKind::backward_weight;
  const Desc &from = out ? w : w_desc_, &to = out ? w_desc_ : w;
  const dnnl::reorder::primitive_desc desc(onednn_engine(), from, onednn_engine(), to, attributes());
  reorder_ = dnnl::reorder(desc);
  reorder_scratchpad_ = unbound(desc.scratchpad_desc());
  reorder_arguments_ = {{DNNL_ARG_FROM, out ? w_ : w_user_},
                        {DNNL_ARG_TO, out ? w_user_ : w_},
                        {DNNL_ARG_SCRATCHPAD, reorder_scratchpad_}};
}

void Convolution::run(const Cpu& backend, const ConvolutionOperands& operands) {
  const auto bind = [](dnnl::memory& memory, const void* data) {
    memory.set_data_handle(const_cast<void*>(data));
  };
  const auto bind_scratch = [&](dnnl::memory& memory) {
    memory.set_data_handle(backend.workspace(memory.get_desc().get_size()));
  };
  dnnl::stream& stream = onednn_stream();
  switch (kind_) {
    case ConvolutionKind::forward:
      bind(x_, operands.a);
      bind(w_user_, operands.b);
      bind(y_, operands.out);
      break;
    case ConvolutionKind::backward_data:
      bind(y_, operands.a);
      bind(w_user_, operands.b);
      bind(x_, operands.out);
      break;
    case ConvolutionKind::backward_weight:
      bind(x_, operands.a);
      bind(y_, operands.b);
      bind(w_user_, operands.out);
      break;
  }
  if (bias_) bind(bias_, operands.bias);
  if (residual_) bind(residual_, operands.residual);
  bind_scratch(scratchpad_);
  if (reorders_) {
    bind_scratch(w_);
    bind_scratch(reorder_scratchpad_);
  }
  if (reorders_ && kind_ != ConvolutionKind::backward_weight) reorder_.execute(stream, reorder_arguments_);
  primitive_.execute(stream, arguments_);
  if (reorders_ && kind_ == ConvolutionKind::backward_weight) reorder_.execute(stream, reorder_arguments_);
  stream.wait();
}

Convolution& Convolution::cached(const ConvolutionKey& key) {
  thread_local std::map<std::array<int, 16>, std::unique_ptr<Convolution>> cache;
  const std::array<int, 16> numbers = key.numbers();
  const auto found = cache.find(numbers);
  if (found != cache.end()) return *found->second;
  if (cache.size() >= kCacheLimit) cache.clear();
  return *cache.emplace(numbers, std::make_unique<Convolution>(key)).first->second;
}

}  // namespace clx::kernels
