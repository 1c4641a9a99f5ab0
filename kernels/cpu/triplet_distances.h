// Euclidean distances between all rows of a matrix, for the triplet loss.
#pragma once

#include "kernels/backend.h"

namespace clx::kernels {

/// distances[i,j] = √Σ_d (x[i,d] − x[j,d])², (N,N). From differences, not from a Gram matrix: equal rows are
/// exactly 0 apart, the matrix is exactly symmetric, and small distances keep their digits.
void triplet_distances(const Cpu&, int N, int D, const float* x, float* distances);

}  // namespace clx::kernels
