// One step of AdamW.
#pragma once

#include <vector>

#include "runtime/step.h"
#include "runtime/tensor.h"

namespace clx {

struct AdamwOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;
};

/// Updates every parameter that has a gradient, and the running means m of its gradient and v of its square,
/// in place; t counts the steps from 1:
///
///   θ ← θ·(1 − lr·weight_decay);  m ← m + (1 − β₁)(∇ − m);  v ← β₂·v + (1 − β₂)∇²;
///   θ ← θ − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)
///
/// Shapes    means[i] and squares[i] like parameters[i]; undefined ones are made, of zeros
/// Throws    Error if numbers or shapes differ
/// Notes     The learning rate and t − 1 come from `step`, and the powers of β are computed on the device;
///           one launch for up to 87 tensors. t is one count for all parameters, PyTorch's one for each: they
///           differ for a parameter that has a gradient in some steps only.
/// Source    Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2, with lr multiplying the decay as in
///           PyTorch's torch.optim.AdamW
void adamw_step(std::vector<Tensor>& parameters,
                std::vector<Tensor>& means,
                std::vector<Tensor>& squares,
                const Step& step,
                const AdamwOptions& options);

}  // namespace clx
