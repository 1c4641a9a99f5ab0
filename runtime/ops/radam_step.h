// One step of RAdam.
#pragma once

#include <vector>

#include "runtime/step.h"
#include "runtime/tensor.h"

namespace clx {

struct RadamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  bool decoupled = false;  // weight decay as AdamW's
};

/// Updates every parameter that has a gradient, and the running means m of its gradient and v of its square,
/// in place; t counts the steps from 1:
///
///   g ← ∇ + weight_decay·θ  (decoupled: g ← ∇, θ ← θ·(1 − lr·weight_decay));
///   m ← m + (1 − β₁)(g − m);  v ← β₂·v + (1 − β₂)g²;  m̂ = m/(1 − β₁ᵗ);
///   ρ_∞ = 2/(1 − β₂) − 1;  ρ = ρ_∞ − 2t·β₂ᵗ/(1 − β₂ᵗ);
///   ρ > 5:  θ ← θ − lr · m̂ · r·√(1 − β₂ᵗ) / (√v + ε),  r² = (ρ − 4)(ρ − 2)ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2)ρ);
///   else    θ ← θ − lr · m̂
///
/// Shapes    means[i] and squares[i] like parameters[i]; undefined ones are made, of zeros
/// Throws    Error if numbers or shapes differ
/// Notes     As of adamw_step. With β₂ = 0.999 the first five steps are plain: m̂ is as large as the gradient.
/// Source    Liu et al. 2020, arXiv:1908.03265, algorithm 2
/// Differs from the paper: rectified above ρ = 5 instead of 4, ε, and weight decay in the gradient, all as
///           PyTorch's torch.optim.RAdam does
void radam_step(std::vector<Tensor>& parameters,
                std::vector<Tensor>& means,
                std::vector<Tensor>& squares,
                const Step& step,
                const RadamOptions& options);

}  // namespace clx
