// Matrix product C = op(A)·op(B), and the sum of a matrix's rows.
#pragma once

#include "kernels/backend.h"
#include "kernels/conv2d.h"
#include "kernels/dtype.h"
#include "kernels/matmul_algorithm.h"

namespace clx::kernels {

/// Row-major. op(A) is (M,K): A is stored (M,K), or (K,M) if transpose_a. op(B) is (K,N): B is stored
/// (K,N), or (N,K) if transpose_b.
struct MatmulShape {
  int M = 0, N = 0, K = 0;
  bool transpose_a = false, transpose_b = false;
  MatmulAlgorithm algorithm = MatmulAlgorithm::automatic;
};

/// C[m,n] = Σ_k op(A)[m,k]·op(B)[k,n] + bias[n]. A and B have one dtype (f32 or bf16), C is f32 and
/// is overwritten; bias may be null. Sums in f32, in a fixed order; no aliasing.
void matmul(const Cpu&, const MatmulShape&, Math, ConstView A, ConstView B, const float* bias, float* C);
void matmul(const Cuda&, const MatmulShape&, Math, ConstView A, ConstView B, const float* bias, float* C);
void matmul(const Emulated&, const MatmulShape&, Math, ConstView A, ConstView B, const float* bias, float* C);

/// Opens cuBLASLt, which MatmulAlgorithm::cublas needs, if it is not open. In builds with nvcc.
/// Throws    std::runtime_error that says where it was looked for
void require_cublas();

/// y[c] = Σ_r x[r,c], overwritten, in a fixed order.
void column_sum(const Cpu&, int rows, int cols, const float* x, float* y);
void column_sum(const Cuda&, int rows, int cols, const float* x, float* y);
void column_sum(const Emulated&, int rows, int cols, const float* x, float* y);

}  // namespace clx::kernels
