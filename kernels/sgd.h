// Stochastic gradient descent over all parameter tensors in one call.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/step_state.h"

namespace clx::kernels {

/// One parameter tensor: theta and its momentum buffer are updated in place.
struct SgdTensor {
  float* theta = nullptr;
  const float* gradient = nullptr;
  float* momentum = nullptr;  // may be null if momentum is 0
  std::int64_t size = 0;
};

struct SgdConstants {
  float momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};

/// With lr = state->learning_rate: g ← gradient + weight_decay·theta; buf ← g on the first step
/// (state->step = 0), momentum·buf + (1 − dampening)·g later; d = g + momentum·buf if nesterov, else
/// buf; theta ← theta − lr·d. `tensors` is host memory, read before the call returns.
void sgd_step(const Cpu&, int count, const SgdTensor* tensors, SgdConstants, const StepState* state);
void sgd_step(const Cuda&, int count, const SgdTensor* tensors, SgdConstants, const StepState* state);
void sgd_step(const Emulated&, int count, const SgdTensor* tensors, SgdConstants, const StepState* state);

}  // namespace clx::kernels
