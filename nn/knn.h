// Nearest neighbours in feature space.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace clx::nn {

struct KnnOptions {
  int k = 200;                // neighbours, at most as many as there are training samples
  double temperature = 0.07;  // τ of the votes' weights
};

/// The share of test samples that their nearest training samples classify rightly. Neighbour i of cosine
/// similarity s_i votes for its class with weight exp(s_i/τ).
///
/// Shapes    train (N,D), test (M,D) f32 on one device, of any length; as many labels, within 0 … classes − 1
/// Throws    Error if shapes or labels do not fit
/// Notes     Among equal similarities the first training sample is nearer, among equal votes the first class
///           wins. A feature of zeros has similarity 0 to all others.
/// Source    Wu et al. 2018, arXiv:1805.01978, §3.4 (k = 200, τ = 0.07), the usual measure of representations
double knn_accuracy(const Tensor& train,
                    const std::vector<std::int32_t>& train_labels,
                    const Tensor& test,
                    const std::vector<std::int32_t>& test_labels,
                    int classes,
                    const KnnOptions& options = {});

}  // namespace clx::nn
