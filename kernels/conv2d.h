// 2-D convolution (cross-correlation), NHWC activations and KRSC filters, and its two gradients.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/conv2d_algorithm.h"
#include "kernels/dtype.h"

namespace clx::kernels {

/// x (N,H,W,C), w (K,R,S,C) → y (N,P,Q,K), P = ⌊(H + 2·padding − R)/stride⌋ + 1, Q likewise.
struct Conv2dShape {
  int N = 0, H = 0, W = 0, C = 0, K = 0, R = 0, S = 0;
  int stride = 1, padding = 0;
  Conv2dAlgorithm algorithm = Conv2dAlgorithm::automatic;
  int P() const { return (H + 2 * padding - R) / stride + 1; }
  int Q() const { return (W + 2 * padding - S) / stride + 1; }
};

/// How products of f32 operands are formed; bf16 operands are always multiplied exactly. Sums are f32.
enum class Math : std::uint8_t { f32, tf32 };

/// What happens to a result before it is stored: y = relu(y + bias[k] + residual), each part optional.
struct Conv2dEpilogue {
  const float* bias = nullptr;  // (K)
  ConstView residual{};         // shape and dtype of y
  bool relu = false;
  float* moments = nullptr;  // = (conv2d_moment_parts,K,3), those of y as it is stored: BatchNormParts
};

/// In how many parts conv2d_forward with these operands can give the moments of its results; 0 where it
/// cannot.
int conv2d_moment_parts(const Cpu&, const Conv2dShape&, ConstView x, ConstView w, ConstView y);
int conv2d_moment_parts(const Cuda&, const Conv2dShape&, ConstView x, ConstView w, ConstView y);
int conv2d_moment_parts(const Emulated&, const Conv2dShape&, ConstView x, ConstView w, ConstView y);

/// y[n,p,q,k] = Σ_{r,s,c} x[n, p·stride + r − padding, q·stride + s − padding, c] · w[k,r,s,c], then
/// the epilogue. x, w and y have one dtype (f32 or bf16); y = ; no aliasing. `prepared`, if given, is what
/// conv2d_prepare made of w; it changes no bit of y.
void conv2d_forward(const Cpu&,
                    const Conv2dShape&,
                    Math,
                    ConstView x,
                    ConstView w,
                    const Conv2dEpilogue&,
                    View y,
                    const void* prepared = nullptr);
void conv2d_forward(const Cuda&,
                    const Conv2dShape&,
                    Math,
                    ConstView x,
                    ConstView w,
                    const Conv2dEpilogue&,
                    View y,
                    const void* prepared = nullptr);
void conv2d_forward(const Emulated&,
                    const Conv2dShape&,
                    Math,
                    ConstView x,
                    ConstView w,
                    const Conv2dEpilogue&,
                    View y,
                    const void* prepared = nullptr);

/// For filters that stay: their form within the forward, which is then computed once instead of at each call.
/// It takes so many bytes, 0 where there is none; it depends on w alone.
std::size_t conv2d_prepared_bytes(const Cpu&, const Conv2dShape&, DType);
std::size_t conv2d_prepared_bytes(const Cuda&, const Conv2dShape&, DType);
std::size_t conv2d_prepared_bytes(const Emulated&, const Conv2dShape&, DType);
void conv2d_prepare(const Cpu&, const Conv2dShape&, ConstView w, void* prepared);
void conv2d_prepare(const Cuda&, const Conv2dShape&, ConstView w, void* prepared);
void conv2d_prepare(const Emulated&, const Conv2dShape&, ConstView w, void* prepared);

/// dx = ∂L/∂x from dy (N,P,Q,K) and w, + `others` if given: the gradients (N,H,W,C) that x has from its other
/// uses. One dtype; dx = ; no aliasing. (bf16 is rounded once, but by oneDNN before and after it is added.)
void conv2d_backward_data(
    const Cpu&, const Conv2dShape&, Math, ConstView dy, ConstView w, View dx, ConstView others = {});
void conv2d_backward_data(
    const Cuda&, const Conv2dShape&, Math, ConstView dy, ConstView w, View dx, ConstView others = {});
void conv2d_backward_data(
    const Emulated&, const Conv2dShape&, Math, ConstView dy, ConstView w, View dx, ConstView others = {});

/// dw = ∂L/∂w (K,R,S,C), f32 whatever the operands' dtype; dw = ; sums in a fixed order.
void conv2d_backward_weight(const Cpu&, const Conv2dShape&, Math, ConstView x, ConstView dy, float* dw);
void conv2d_backward_weight(const Cuda&, const Conv2dShape&, Math, ConstView x, ConstView dy, float* dw);
void conv2d_backward_weight(const Emulated&, const Conv2dShape&, Math, ConstView x, ConstView dy, float* dw);

/// Opens cuDNN, which Conv2dAlgorithm::cudnn needs, if it is not open. In builds with nvcc.
/// Throws    std::runtime_error that says where it was looked for
void require_cudnn();

}  // namespace clx::kernels
