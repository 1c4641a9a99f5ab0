#include "kernels/conv2d.h"

#include "kernels/cpu/convolution.h"
#include "kernels/cpu/parallel.h"
#include "kernels/elementwise.h"

namespace clx::kernels {
namespace {

std::int64_t x_size(const Conv2dShape& s) {
  return std::int64_t(s.N) * s.H * s.W * s.C;
}
std::int64_t y_size(const Conv2dShape& s) {
  return std::int64_t(s.N) * s.P() * s.Q() * s.K;
}
std::int64_t w_size(const Conv2dShape& s) {
  return std::int64_t(s.K) * s.R * s.S * s.C;
}

// Processors without bf16 instructions compute in f32 scratch memory.
bool by_way_of_f32(DType dtype) {
  static const bool has_bf16 = onednn_has_bf16();
  return dtype == DType::bf16 && !has_bf16;
}
View f32_scratch(const Cpu& backend, std::int64_t n) {
  return {backend.workspace(static_cast<std::size_t>(n) * sizeof(float)), DType::f32};
}
ConstView in_f32(const Cpu& backend, std::int64_t n, ConstView v) {
  const View f32 = f32_scratch(backend, n);
  convert(backend, n, v, f32);
  return f32;
}

}  // namespace

void conv2d_forward(const Cpu& backend,
                    const Conv2dShape& s,
                    Math math,
                    ConstView x,
                    ConstView w,
                    const Conv2dEpilogue& epilogue,
                    View y) {
  if (by_way_of_f32(y.dtype)) {
    const View sum = f32_scratch(backend, y_size(s));
    Conv2dEpilogue in_floats = epilogue;
    if (epilogue.residual) in_floats.residual = in_f32(backend, y_size(s), epilogue.residual);
    conv2d_forward(backend, s, math, in_f32(backend, x_size(s), x), in_f32(backend, w_size(s), w), in_floats,
                   sum);
    convert(backend, y_size(s), sum, y);
    return;
  }
  const int threads = set_library_threads();
  const ConvolutionKey key{ConvolutionKind::forward,
                           s,
                           y.dtype,
                           epilogue.bias != nullptr,
                           bool(epilogue.residual),
                           epilogue.relu,
                           threads};
  Convolution::cached(key).run(backend, {x.data, w.data, y.data, epilogue.bias, epilogue.residual.data});
}

void conv2d_backward_data(
    const Cpu& backend, const Conv2dShape& s, Math math, ConstView dy, ConstView w, View dx) {
  if (by_way_of_f32(dx.dtype)) {
    const View sum = f32_scratch(backend, x_size(s));
    conv2d_backward_data(backend, s, math, in_f32(backend, y_size(s), dy), in_f32(backend, w_size(s), w),
                         sum);
    convert(backend, x_size(s), sum, dx);
    return;
  }
  ConvolutionKey key{ConvolutionKind::backward_data, s, dx.dtype};
  key.threads = set_library_threads();
  Convolution::cached(key).run(backend, {dy.data, w.data, dx.data});
}

void conv2d_backward_weight(
    const Cpu& backend, const Conv2dShape& s, Math math, ConstView x, ConstView dy, float* dw) {
  if (by_way_of_f32(x.dtype)) {
    conv2d_backward_weight(backend, s, math, in_f32(backend, x_size(s), x), in_f32(backend, y_size(s), dy),
                           dw);
    return;
  }
  ConvolutionKey key{ConvolutionKind::backward_weight, s, x.dtype};
  key.threads = set_library_threads();
  Convolution::cached(key).run(backend, {x.data, dy.data, dw});
}

}  // namespace clx::kernels
