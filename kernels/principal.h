// The first principal component of each sample's activations.
#pragma once

#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace clx::kernels {

/// How the sign of a component, which it does not have, is chosen.
enum class ComponentSign {
  first_negative,   // that of position 0 is negative
  mean_correlated,  // not negatively correlated with Σ_k x[n,i,k]
  largest_positive  // that of the largest magnitude is positive
};

struct PrincipalShape {
  int N = 0, positions = 0, C = 0;
  ComponentSign sign = ComponentSign::mean_correlated;
};

/// y[n] = σ·u with (σ², u) the first eigenpair of X·Xᵀ, X (positions,C) the activations x[n] less each
/// channel's mean, centred in f32, NaN counting as 0; products and everything after in double precision.
/// Where positions exceed C it comes from XᵀX instead. The matrix, divided by its trace, is squared until its
/// square has a trace of 1 (to 1e-14; a 40-fold square at most): its columns are then multiples of u.
void principal_component(const Cpu&, const PrincipalShape&, ConstView x, float* y);
void principal_component(const Cuda&, const PrincipalShape&, ConstView x, float* y);
void principal_component(const Emulated&, const PrincipalShape&, ConstView x, float* y);

}  // namespace clx::kernels
