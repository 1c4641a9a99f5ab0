// Max pooling and global average pooling, NHWC.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace clx::kernels {

/// x (N,H,W,C) → y (N,P,Q,C), windows of R×R, P = ⌊(H + 2·padding − R)/stride⌋ + 1.
struct PoolShape {
  int N = 0, H = 0, W = 0, C = 0;
  int R = 0, stride = 1, padding = 0;
  constexpr int P() const { return (H + 2 * padding - R) / stride + 1; }
  constexpr int Q() const { return (W + 2 * padding - R) / stride + 1; }
};

/// y = max over the window, padding counts as −∞. argmax[n,p,q,c] = r·R + s of the first maximum in
/// row-major order (NaN wins, as in PyTorch).
void max_pool_forward(const Cpu&, const PoolShape&, ConstView x, View y, std::uint8_t* argmax);
void max_pool_forward(const Cuda&, const PoolShape&, ConstView x, View y, std::uint8_t* argmax);
void max_pool_forward(const Emulated&, const PoolShape&, ConstView x, View y, std::uint8_t* argmax);

/// dx[n,h,w,c] = Σ of the dy whose window chose it; overwritten; a gather, so the order is fixed.
void max_pool_backward(const Cpu&, const PoolShape&, ConstView dy, const std::uint8_t* argmax, View dx);
void max_pool_backward(const Cuda&, const PoolShape&, ConstView dy, const std::uint8_t* argmax, View dx);
void max_pool_backward(const Emulated&, const PoolShape&, ConstView dy, const std::uint8_t* argmax, View dx);

/// y[n,c] = mean over the HW positions of x (N,HW,C); y is f32.
void average_pool_forward(const Cpu&, int N, int HW, int C, ConstView x, float* y);
void average_pool_forward(const Cuda&, int N, int HW, int C, ConstView x, float* y);
void average_pool_forward(const Emulated&, int N, int HW, int C, ConstView x, float* y);

/// dx[n,i,c] = dy[n,c]/HW.
void average_pool_backward(const Cpu&, int N, int HW, int C, const float* dy, View dx);
void average_pool_backward(const Cuda&, int N, int HW, int C, const float* dy, View dx);
void average_pool_backward(const Emulated&, int N, int HW, int C, const float* dy, View dx);

/// ResNet's option-A shortcut: y[n,p,q,k] = x[n, p·stride, q·stride, k − (K − C)/2], zero where that
/// channel does not exist. x (N,H,W,C) → y (N,⌈H/stride⌉,⌈W/stride⌉,K).
struct SubsampleShape {
  int N = 0, H = 0, W = 0, C = 0, K = 0, stride = 1;
  constexpr int P() const { return (H + stride - 1) / stride; }
  constexpr int Q() const { return (W + stride - 1) / stride; }
};
void subsample_forward(const Cpu&, const SubsampleShape&, ConstView x, View y);
void subsample_forward(const Cuda&, const SubsampleShape&, ConstView x, View y);
void subsample_forward(const Emulated&, const SubsampleShape&, ConstView x, View y);
void subsample_backward(const Cpu&, const SubsampleShape&, ConstView dy, View dx);
void subsample_backward(const Cuda&, const SubsampleShape&, ConstView dy, View dx);
void subsample_backward(const Emulated&, const SubsampleShape&, ConstView dy, View dx);

}  // namespace clx::kernels
