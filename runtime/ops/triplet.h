// Triplet loss with mining in the batch.
#pragma once

#include "runtime/tensor.h"

namespace clx {

enum class Mining { semi_hard, hard };

struct TripletOptions {
  float margin = 0.3f;  // m
  Mining mining = Mining::semi_hard;
};

struct Triplet {
  Tensor loss;    // () f32, differentiable
  Tensor active;  // () i64: semi-hard triplets in the mean; 0 where the hardest pairs decided
};

/// The triplet loss of all anchors of a batch, with d_ij = ‖x_i − x_j‖ (not squared).
///
///   semi_hard  loss = (1/|V|) Σ_V (d_ap − d_an + m),
///              V = {(a,p,n) : p ≠ a, y_p = y_a, y_n ≠ y_a, d_ap < d_an, d_ap − d_an + m > 0};
///              `hard` if V is empty
///   hard       loss = mean over anchors with a positive of max(0, max_p d_ap − min_n d_an + m);
///              an anchor without negatives takes the largest distance of the batch for min_n;
///              0 if no anchor has a positive
///
/// Shapes    x (N,D) f32, as it is: not normalised here; labels (N) i32, any values
/// Range     [0, m) for semi_hard unless `hard` decides
/// Gradient  dx_i = Σ_j (C_ij + C_ji)·(x_i − x_j)/d_ij with C_ij = ∂loss/∂d_ij, 0 where d_ij = 0. The mining
/// is
///           held constant. A tie for the hardest positive or negative goes to the first; a tie for the
///           batch's largest distance is shared equally.
/// Throws    Error if shapes differ, x is empty, or the margin is negative or not finite
/// Notes     O(N²) memory: one (N,N) matrix lives until backward. The fallback is decided on the device.
///           NaN if a distance is not finite.
/// Source    Schroff et al. 2015, arXiv:1503.03832 (semi-hard); Hermans et al. 2017, arXiv:1703.07737
///           (batch-all, batch-hard). docs/losses/triplet.md says where implementations differ.
Triplet triplet(const Tensor& x, const Tensor& labels, const TripletOptions& options = {});

}  // namespace clx
