// The meaning of cross_entropy.
#pragma once

#include <vector>

#include "tests/reference/array.h"
#include "tests/reference/softmax.h"

namespace clx::reference {

/// (1/N) Σ_i −Σ_k q_ik·ln softmax(logits)_ik with q_ik = (1 − ε)·1[k = labels_i] + ε/K.
inline Array cross_entropy(const Array& logits, const std::vector<std::int32_t>& labels, double smoothing) {
  const std::int64_t N = logits.dim(0), K = logits.dim(1);
  Array loss{Shape{}};
  for (std::int64_t i = 0; i < N; ++i) {
    const double log_sum = log_sum_exp(logits, i);
    for (std::int64_t k = 0; k < K; ++k) {
      const bool is_label = k == labels[static_cast<std::size_t>(i)];
      const double q = (is_label ? 1 - smoothing : 0) + smoothing / static_cast<double>(K);
      loss[0] -= q * (logits(i, k) - log_sum) / static_cast<double>(N);
    }
  }
  return loss;
}

/// The number of rows whose first largest logit is the label.
inline int correct(const Array& logits, const std::vector<std::int32_t>& labels) {
  int count = 0;
  for (std::int64_t i = 0; i < logits.dim(0); ++i) {
    std::int64_t best = 0;
    for (std::int64_t k = 1; k < logits.dim(1); ++k)
      if (logits(i, k) > logits(i, best)) best = k;
    count += best == labels[static_cast<std::size_t>(i)];
  }
  return count;
}

}  // namespace clx::reference
