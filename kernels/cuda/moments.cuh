// Count, mean and spread of a set of numbers.
// Included by kernels/cuda/*.cu only.
#pragma once

#include "kernels/cuda/launch.h"

namespace clx::kernels {
namespace {

/// Count, mean and Σ(x − mean)² of a set; `+=` merges two sets without cancellation.
/// Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
/// 1979, eq. 2.1.
struct Moments {
  float n, mean, m2;
  __device__ Moments& operator+=(const Moments& other) {
    if (other.n == 0) return *this;
    const float total = n + other.n, delta = other.mean - mean, share = other.n / total;
    mean += delta * share;
    m2 += other.m2 + delta * delta * (n * share);
    n = total;
    return *this;
  }
};

/// Σ and Σ² of differences from a number of the set: the cancellation in q − s²/n then costs at most n
/// roundings of Σ(x − mean)², whatever the mean is.
__device__ __forceinline__ Moments moments_of(int n, float shift, float s, float q) {
  const float mean = s / n, m2 = q - s * mean;
  return {static_cast<float>(n), shift + mean, m2 < 0 ? 0 : m2};
}

}  // namespace
}  // namespace clx::kernels
