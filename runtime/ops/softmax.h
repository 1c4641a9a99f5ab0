// Softmax along the last axis.
#pragma once

#include "runtime/tensor.h"

namespace clx {

/// y[i,j] = exp(x[i,j] − max_k x[i,k]) / Σ_k exp(x[i,k] − max_k x[i,k]).
///
/// Shapes    x (N,K) f32 → y (N,K)
/// Gradient  dx = y ⊙ (dy − Σ_j y·dy)
/// Throws    Error if x is not a matrix of f32
Tensor softmax(const Tensor& x);

/// One column of each row: y[i] = x[i, columns[i]].
///
/// Shapes    x (N,K) f32, columns (N) i32 → y (N)
/// Gradient  dy at the column, 0 elsewhere
/// Throws    Error if shapes differ, or (on the cpu) a column is out of range
Tensor pick(const Tensor& x, const Tensor& columns);

}  // namespace clx
