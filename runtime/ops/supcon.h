// Supervised contrastive loss.
#pragma once

#include "runtime/tensor.h"

namespace clx {

struct SupconOptions {
  float temperature = 0.07f;
};

/// Mean over all anchors of the supervised contrastive loss with the sum outside the logarithm.
///
///   S_ij = z_i·z_j/temperature,  P(i) = {j ≠ i: labels_j = labels_i}
///   loss = (1/N) Σ_i −(1/|P(i)|) Σ_{p∈P(i)} (S_ip − ln Σ_{j≠i} exp S_ij)
///
/// Shapes    z (N,D) f32, labels (N) i32, any values → ()
/// Range     with unit rows: ln(N − 1) if all are equal; from 0, which one pair of two reaches
/// Gradient  dz = (G + Gᵀ)z/temperature, G_ij = (1/N)(exp(S_ij)/Σ_{k≠i} exp S_ik − [j ∈ P(i)]/|P(i)|), j ≠ i
/// Throws    Error if shapes differ, z is empty, or the temperature is not a positive number
/// Notes     Rows are those of all views, two views of one image sharing its label. Normalise them first
///           (l2_normalize). An anchor without positives adds 0 and is counted. O(N) memory beside z and dz:
///           similarities are computed tile by tile, in the backward again.
/// Source    Khosla et al. 2020, arXiv:2004.11362, eq. 2 (L_out), as a mean instead of a sum.
///           Differs from the paper's published code: no factor temperature/base_temperature.
Tensor supcon(const Tensor& z, const Tensor& labels, const SupconOptions& options = {});

}  // namespace clx
