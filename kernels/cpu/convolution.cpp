#include "kernels/cpu/convolution.h"

#include <map>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "kernels/cpu/instruction_room.h"
#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr std::size_t kCacheLimit = 1024;  // a network has a few dozen shapes

Type type_of(DType dtype) {
  return dtype == DType::bf16 ? Type::bf16 : Type::f32;
}

Desc filters(const ConvolutionKey& key, Tag tag) {
  const Conv2dShape& s = key.shape;
  const bool gradient = key.kind == ConvolutionKind::backward_weight;
  return {{s.K, s.C, s.R, s.S}, gradient ? Type::f32 : type_of(key.dtype), tag};
}

struct Window {
  dnnl::memory::dims strides, before, after;
};
// The padding after the image is what the last window needs: less than was given where strides skip it.
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
                                                       const Desc& x,
                                                       const Desc& y,
                                                       const dnnl::primitive_attr& attr) {
  const Window window = window_of(key.shape);
  const auto kind = dnnl::prop_kind::forward_training;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  ConvolutionKey forward = key;
  forward.kind = ConvolutionKind::forward;
  const Desc w = filters(forward, Tag::any), bias({key.shape.K}, Type::f32, Tag::a);
  const auto desc = key.bias ? dnnl::convolution_forward::desc(kind, algorithm, x, w, bias, y, window.strides,
                                                               window.before, window.after)
                             : dnnl::convolution_forward::desc(kind, algorithm, x, w, y, window.strides,
                                                               window.before, window.after);
  return {desc, attr, onednn_engine()};
}

}  // namespace

std::array<int, 14> ConvolutionKey::numbers() const {
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
          relu};
}

Convolution::Convolution(const ConvolutionKey& key) : kind_(key.kind), krsc_desc_(filters(key, Tag::ohwi)) {
  const Conv2dShape& s = key.shape;
  x_desc_ = Desc({s.N, s.C, s.H, s.W}, type_of(key.dtype), Tag::nhwc);
  y_desc_ = Desc({s.N, s.K, s.P(), s.Q()}, type_of(key.dtype), Tag::nhwc);
  bias_desc_ = Desc({s.K}, Type::f32, Tag::a);
  keep_onednn_on_this_thread();
  const InstructionRoom room;
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
  const auto desc = forward_desc(key, x_desc_, y_desc_, attr);
  primitive_ = dnnl::convolution_forward(desc);
  filter_desc_ = desc.weights_desc();
  scratch_desc_ = desc.scratchpad_desc();
}

void Convolution::make_backward_data(const ConvolutionKey& key) {
  const Window window = window_of(key.shape);
  const dnnl::convolution_backward_data::primitive_desc desc(
      {dnnl::algorithm::convolution_direct, x_desc_, filters(key, Tag::any), y_desc_, window.strides,
       window.before, window.after},
      attributes(), onednn_engine(), forward_desc(key, x_desc_, y_desc_, {}));
  primitive_ = dnnl::convolution_backward_data(desc);
  filter_desc_ = desc.weights_desc();
  scratch_desc_ = desc.scratchpad_desc();
}

void Convolution::make_backward_weight(const ConvolutionKey& key) {
  const Window window = window_of(key.shape);
  const dnnl::convolution_backward_weights::primitive_desc desc(
      {dnnl::algorithm::convolution_direct, x_desc_, filters(key, Tag::any), y_desc_, window.strides,
       window.before, window.after},
      attributes(), onednn_engine(), forward_desc(key, x_desc_, y_desc_, {}));
  primitive_ = dnnl::convolution_backward_weights(desc);
  filter_desc_ = desc.diff_weights_desc();
  scratch_desc_ = desc.scratchpad_desc();
}

void Convolution::run(const ConvolutionOperands& operands, void* scratch) const {
  keep_onednn_on_this_thread();
  const auto memory = [](const Desc& desc, const void* data) {
    return dnnl::memory(desc, onednn_engine(), const_cast<void*>(data));
  };
  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SCRATCHPAD, memory(scratch_desc_, scratch)}};
  switch (kind_) {
    case ConvolutionKind::forward:
      arguments[DNNL_ARG_SRC] = memory(x_desc_, operands.a);
      arguments[DNNL_ARG_WEIGHTS] = memory(filter_desc_, operands.b);
      arguments[DNNL_ARG_DST] = memory(y_desc_, operands.out);
      if (operands.bias) arguments[DNNL_ARG_BIAS] = memory(bias_desc_, operands.bias);
      if (operands.residual)
        arguments[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = memory(y_desc_, operands.residual);
      break;
    case ConvolutionKind::backward_data:
      arguments[DNNL_ARG_DIFF_DST] = memory(y_desc_, operands.a);
      arguments[DNNL_ARG_WEIGHTS] = memory(filter_desc_, operands.b);
      arguments[DNNL_ARG_DIFF_SRC] = memory(x_desc_, operands.out);
      break;
    case ConvolutionKind::backward_weight:
      arguments[DNNL_ARG_SRC] = memory(x_desc_, operands.a);
      arguments[DNNL_ARG_DIFF_DST] = memory(y_desc_, operands.b);
      arguments[DNNL_ARG_DIFF_WEIGHTS] = memory(filter_desc_, operands.out);
      break;
  }
  primitive_.execute(onednn_stream(), arguments);
}

std::shared_ptr<const Convolution> Convolution::cached(const ConvolutionKey& key) {
  static std::shared_mutex mutex;
  static std::map<std::array<int, 14>, std::shared_ptr<const Convolution>> cache;
  const std::array<int, 14> numbers = key.numbers();
  {
    const std::shared_lock reader(mutex);
    const auto found = cache.find(numbers);
    if (found != cache.end()) return found->second;
  }
  auto made = std::make_shared<const Convolution>(key);
  const std::unique_lock writer(mutex);
  if (cache.size() >= kCacheLimit) cache.clear();
  return cache.emplace(numbers, std::move(made)).first->second;
}

}  // namespace clx::kernels
