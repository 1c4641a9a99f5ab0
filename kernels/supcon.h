// Supervised contrastive loss of N embeddings, in O(N) memory beside them and their gradient.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace clx::kernels {

/// N embeddings of D numbers: z is (N,D), row-major.
struct SupconShape {
  int N = 0, D = 0;
};

/// With S_ij = z_i·z_j/temperature and P(i) = {j ≠ i: labels[j] = labels[i]}, writes per anchor i
///
///   log_sum[i]      = log₂ Σ_{j≠i} exp S_ij, +∞ where P(i) is empty
///   pull[i]         = 1/|P(i)|, 0 where P(i) is empty
///   anchor_loss[i]  = ln Σ_{j≠i} exp S_ij − (1/|P(i)|) Σ_{p∈P(i)} S_ip, 0 where P(i) is empty
///
/// and loss = (1/N) Σ_i anchor_loss[i]. Neither z need be of unit length nor S bounded. Sums have a fixed
/// order. No similarity is kept: a tile at a time is computed, used and forgotten.
void supcon_forward(const Cpu&,
                    SupconShape,
                    const float* z,
                    const std::int32_t* labels,
                    float temperature,
                    float* log_sum,
                    float* pull,
                    float* anchor_loss,
                    float* loss);
void supcon_forward(const Cuda&,
                    SupconShape,
                    const float* z,
                    const std::int32_t* labels,
                    float temperature,
                    float* log_sum,
                    float* pull,
                    float* anchor_loss,
                    float* loss);
void supcon_forward(const Emulated&,
                    SupconShape,
                    const float* z,
                    const std::int32_t* labels,
                    float temperature,
                    float* log_sum,
                    float* pull,
                    float* anchor_loss,
                    float* loss);

/// dz_i = (*dloss)/(N·temperature) Σ_{j≠i} (π_ij + π_ji − [labels[j] = labels[i]]·(pull[i] + pull[j]))·z_j
/// with π_ij = exp(S_ij)/2^log_sum[i], from what the forward wrote.
void supcon_backward(const Cpu&,
                     SupconShape,
                     const float* z,
                     const std::int32_t* labels,
                     float temperature,
                     const float* log_sum,
                     const float* pull,
                     const float* dloss,
                     float* dz);
void supcon_backward(const Cuda&,
                     SupconShape,
                     const float* z,
                     const std::int32_t* labels,
                     float temperature,
                     const float* log_sum,
                     const float* pull,
                     const float* dloss,
                     float* dz);
void supcon_backward(const Emulated&,
                     SupconShape,
                     const float* z,
                     const std::int32_t* labels,
                     float temperature,
                     const float* log_sum,
                     const float* pull,
                     const float* dloss,
                     float* dz);

}  // namespace clx::kernels
