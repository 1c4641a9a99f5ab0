// 2-D convolution of NHWC images.
#pragma once

#include "kernels/conv2d_algorithm.h"
#include "runtime/tensor.h"

namespace clx {

struct Conv2dOptions {
  int stride = 1;
  int padding = 0;
  bool tf32 = false;  // f32 operands may be rounded to 10 mantissa bits on tensor cores
  Conv2dAlgorithm algorithm = Conv2dAlgorithm::automatic;
  // What follows in the same pass, for inference: y = relu(conv + bias + residual). Not differentiable.
  Tensor bias{};      // (K) f32
  Tensor residual{};  // like y
  bool relu = false;
  Tensor prepared{};  // what conv2d_prepare made of w, if anything
  // Set to what BatchNormOptions::moments takes where the convolution gives it on its way (bf16 on H100 and
  // H200 from 64 channels on), else made undefined.
  Tensor* moments = nullptr;
};

/// 2-D cross-correlation.
///
///   y[n,p,q,k] = Σ_{r,s,c} x[n, p·stride + r − padding, q·stride + s − padding, c] · w[k,r,s,c]
///
/// Shapes    x (N,H,W,C) f32 or bf16, w (K,R,S,C) f32 → y (N,P,Q,K) in x's dtype,
///           P = ⌊(H + 2·padding − R)/stride⌋ + 1, Q likewise
/// Gradient  dx in x's dtype, dw in f32; neither with an epilogue
/// Throws    Error if C differs, the batch is empty, the window exceeds the padded image, stride < 1,
///           an epilogue meets an input that requires a gradient, or the device has no such algorithm
/// Notes     For bf16 the rounded copy of w is kept until w is written. Deterministic. By cuDNN, dw of bf16
///           images is rounded to bf16, and a result may depend on the batch size.
Tensor conv2d(const Tensor& x, const Tensor& w, const Conv2dOptions& options = {});

/// For filters that stay: what conv2d with such images and options computes from them at each call; undefined
/// where that is nothing. It depends on w alone and changes no bit of the result.
Tensor conv2d_prepare(const Tensor& x, const Tensor& w, const Conv2dOptions& options);

/// What `automatic` means in all later calls of this process on devices that know it; automatic at first.
void set_conv2d_algorithm(Conv2dAlgorithm algorithm);

/// Throws    Error unless convolutions on `device` know the algorithm, and if it needs a library that is
/// missing
void require_conv2d_algorithm(Conv2dAlgorithm algorithm, Device device);

}  // namespace clx
