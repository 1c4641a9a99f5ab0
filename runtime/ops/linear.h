// Matrix product and the fully connected layer.
#pragma once

#include "kernels/matmul_algorithm.h"
#include "runtime/tensor.h"

namespace clx {

struct MatmulOptions {
  bool transpose_a = false, transpose_b = false;
  bool tf32 = false;
  MatmulAlgorithm algorithm = MatmulAlgorithm::automatic;
};

/// C = op(A)·op(B).
///
/// Shapes    op(A) (M,K), op(B) (K,N), one dtype f32 or bf16 → C (M,N) f32
/// Gradient  dA = dC·op(B)ᵀ, dB = op(A)ᵀ·dC, transposed as the operand is; f32 operands only
/// Throws    Error if inner extents, dtypes or devices differ, or the device has no such algorithm
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options = {});

struct LinearOptions {
  MatmulAlgorithm algorithm = MatmulAlgorithm::automatic;
};

/// y = x·wᵀ + b.
///
/// Shapes    x (N,D) f32, w (K,D) f32, b (K) f32 or undefined → y (N,K) f32
/// Gradient  dx = dy·w, dw = dyᵀ·x, db = Σ_n dy
/// Throws    Error if D or K differ, or the device has no such algorithm
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b, const LinearOptions& options = {});

/// What `automatic` means in all later calls of this process, of linear too, on devices that know it;
/// automatic at first.
void set_matmul_algorithm(MatmulAlgorithm algorithm);

/// Throws    Error unless products on `device` know the algorithm, and if it needs a library that is missing
void require_matmul_algorithm(MatmulAlgorithm algorithm, Device device);

}  // namespace clx
