// AdamW and RAdam over all parameter tensors in one call.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/step_state.h"

namespace clx::kernels {

/// One parameter tensor: theta and both running means are updated in place. The means begin at zero.
struct AdamTensor {
  float* theta = nullptr;
  const float* gradient = nullptr;
  float* mean = nullptr;    // m, of the gradient
  float* square = nullptr;  // v, of its square
  std::int64_t size = 0;
};

struct AdamConstants {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  bool decoupled = false;  // radam: weight decay multiplies theta; else it is added to the gradient
};

/// With lr = state->learning_rate and t = state->step + 1:
///   theta ← theta·(1 − lr·weight_decay);  m ← m + (1 − β₁)(g − m);  v ← β₂·v + (1 − β₂)·g²;
///   theta ← theta − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)
/// What depends on t is computed in double (kernels/adam_coefficients.h). `tensors` is host memory, read
/// before the call returns.
void adamw_step(
    const Cpu&, int count, const AdamTensor* tensors, const AdamConstants&, const StepState* state);
void adamw_step(
    const Cuda&, int count, const AdamTensor* tensors, const AdamConstants&, const StepState* state);
void adamw_step(
    const Emulated&, int count, const AdamTensor* tensors, const AdamConstants&, const StepState* state);

/// g ← g + weight_decay·theta (or theta ← theta·(1 − lr·weight_decay) if decoupled); m and v as above; with
/// ρ and r of rectification(t, β₂):
///   ρ > 5:  theta ← theta − lr · m/(1 − β₁ᵗ) · r·√(1 − β₂ᵗ) / (√v + ε);  else theta ← theta − lr · m/(1 −
///   β₁ᵗ)
void radam_step(
    const Cpu&, int count, const AdamTensor* tensors, const AdamConstants&, const StepState* state);
void radam_step(
    const Cuda&, int count, const AdamTensor* tensors, const AdamConstants&, const StepState* state);
void radam_step(
    const Emulated&, int count, const AdamTensor* tensors, const AdamConstants&, const StepState* state);

}  // namespace clx::kernels
