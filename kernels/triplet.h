// Triplet loss of a batch: semi-hard over all triplets, or the hardest pair of each anchor.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace clx::kernels {

struct TripletShape {
  int N = 0, D = 0;  // samples, features
  float margin = 0;
  bool hard = false;  // the hardest pairs only; otherwise they decide where no triplet is semi-hard
};

/// With d_ij = ‖x_i − x_j‖, computed from differences and so 0 for equal rows: writes the loss (1), the
/// number of semi-hard triplets in it (1; 0 where the hardest pairs decided) and `laplacian` (N,N):
///   −(C_ij + C_ji)/d_ij for i ≠ j, 0 where d_ij = 0; minus the sum of the others on the diagonal,
/// with C_ij = ∂loss/∂d_ij. The distances need no other memory of this size. runtime/ops/triplet.h has the
/// formulas. Everything is NaN if a distance is not finite.
void triplet_forward(const Cpu&,
                     const TripletShape&,
                     const float* x,
                     const std::int32_t* labels,
                     float* laplacian,
                     float* loss,
                     std::int64_t* active);
void triplet_forward(const Cuda&,
                     const TripletShape&,
                     const float* x,
                     const std::int32_t* labels,
                     float* laplacian,
                     float* loss,
                     std::int64_t* active);
void triplet_forward(const Emulated&,
                     const TripletShape&,
                     const float* x,
                     const std::int32_t* labels,
                     float* laplacian,
                     float* loss,
                     std::int64_t* active);

/// dx = (*dloss)·laplacian·(x − x_0); the first row x_0 changes nothing but rounding, as the laplacian's rows
/// sum to 0.
void triplet_backward(
    const Cpu&, const TripletShape&, const float* x, const float* laplacian, const float* dloss, float* dx);
void triplet_backward(
    const Cuda&, const TripletShape&, const float* x, const float* laplacian, const float* dloss, float* dx);
void triplet_backward(const Emulated&,
                      const TripletShape&,
                      const float* x,
                      const float* laplacian,
                      const float* dloss,
                      float* dx);

}  // namespace clx::kernels
