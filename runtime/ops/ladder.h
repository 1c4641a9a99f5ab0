// The kernels of the teaching ladder (kernels/ladder.h, docs/ladder.md) on tensors: on GPUs and the emulator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace clx {

/// The names of the rungs that `device` runs, from the simplest; none on the CPU.
std::vector<std::string> ladder_matmul_rungs(Device device);
std::vector<std::string> ladder_conv_rungs(Device device);
std::vector<std::string> ladder_sum_rungs(Device device);

/// C = a·b by one rung.
///
/// Shapes    a (M,K), b (K,N) bf16 → C (M,N) f32
/// Gradient  none
/// Throws    Error if shapes or dtypes differ, N or K is no multiple of 8, or the device has no such rung
Tensor ladder_matmul(const std::string& rung, const Tensor& a, const Tensor& b);

/// y = conv(x, w) by one rung.
///
/// Shapes    x (N,H,W,C), w (K,R,S,C) bf16 → y (N,P,Q,K) f32, P = ⌊(H + 2·padding − R)/stride⌋ + 1
/// Gradient  none
/// Throws    Error if shapes or dtypes differ, C is no multiple of 8, or the device has no such rung
Tensor ladder_conv(const std::string& rung, const Tensor& x, const Tensor& w, int stride, int padding);

/// Σ x by one rung.
///
/// Shapes    x f32, at least one element → a scalar f32
/// Gradient  none
/// Throws    Error if x is empty or not f32, or the device has no such rung
Tensor ladder_sum(const std::string& rung, const Tensor& x);

}  // namespace clx
