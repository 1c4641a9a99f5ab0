// Softmax cross-entropy of class scores.
#pragma once

#include "runtime/tensor.h"

namespace clx {

struct CrossEntropyOptions {
  float smoothing = 0;  // ε of label smoothing
};

struct CrossEntropy {
  Tensor loss;     // () f32, differentiable
  Tensor correct;  // () i32: rows whose first largest score is the label
};

/// Mean cross-entropy.
///
///   loss = (1/N) Σ_i −Σ_k q_ik·ln softmax(logits)_ik,  q_ik = (1 − ε)·1[k = labels_i] + ε/K
///
/// Shapes    logits (N,K) f32, labels (N) i32 in [0,K)
/// Gradient  dlogits = (softmax − q)/N
/// Throws    Error if shapes differ, N = 0, ε outside [0,1), or (on the cpu) a label is out of range
/// Source    label smoothing: Szegedy et al. 2016, arXiv:1512.00567, §7; the uniform part includes the label
CrossEntropy cross_entropy(const Tensor& logits,
                           const Tensor& labels,
                           const CrossEntropyOptions& options = {});

}  // namespace clx
