// What AdamW and RAdam compute once per step: the powers of β₁ and β₂ and what follows from them, in double
// and by the same operations on every device.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/adam.h"
#include "kernels/host_device.h"

namespace clx::kernels {

enum class AdamKind { adamw, radam };

/// baseⁿ for n ≥ 0, by squaring.
CLX_HOST_DEVICE inline double power(double base, std::int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2, base *= base)
    if (n % 2 != 0) result *= base;
  return result;
}

struct Rectification {
  double rho = 0;  // ρ_t, the length of the average that v is by now
  double r = 0;    // what the variance of 1/√v asks for; 0 while ρ_t ≤ 5
};

/// ρ_∞ = 2/(1 − β₂) − 1, ρ_t = ρ_∞ − 2t·β₂ᵗ/(1 − β₂ᵗ),
/// r = √((ρ_t − 4)(ρ_t − 2)ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2)ρ_t)), for t = 1, 2, …
/// Source: Liu et al. 2020, arXiv:1908.03265, algorithm 2; its threshold is 4, PyTorch's 5 is used here.
CLX_HOST_DEVICE inline Rectification rectification(std::int64_t t, double beta2) {
  const double last = 2 / (1 - beta2) - 1;
  const double decayed = power(beta2, t);
  const double rho = last - 2 * static_cast<double>(t) * decayed / (1 - decayed);
  if (rho <= 5) return {rho, 0};
  return {rho, std::sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))};
}

/// One element's step:  theta ← shrink·theta;  g ← g + weight_decay·theta;  m ← m + take1·(g − m);
/// v ← keep2·v + take2·g²;  theta ← theta − rate·m / (rectified ? √v + epsilon : 1)
struct AdamCoefficients {
  float shrink, weight_decay, take1, keep2, take2, rate, epsilon;  // no initialisers: it is shared memory
  bool rectified;
};

/// AdamW's quotient m / (√v/s + ε), s = √(1 − β₂ᵗ), is written as s·m / (√v + s·ε).
CLX_HOST_DEVICE inline AdamCoefficients adam_coefficients(AdamKind kind,
                                                          const AdamConstants& c,
                                                          const StepState& state) {
  const std::int64_t t = std::int64_t(state.step) + 1;
  const double lr = state.learning_rate;
  const double scale = std::sqrt(1 - power(c.beta2, t));
  double rate = lr / (1 - power(c.beta1, t)), epsilon = c.epsilon;
  bool rectified = true;
  if (kind == AdamKind::adamw) {
    rate *= scale;
    epsilon *= scale;
  } else {
    const double r = rectification(t, c.beta2).r;
    rectified = r > 0;
    if (rectified) rate *= r * scale;
  }
  const bool decoupled = kind == AdamKind::adamw || c.decoupled;
  return {.shrink = decoupled ? static_cast<float>(1 - lr * c.weight_decay) : 1.0f,
          .weight_decay = decoupled ? 0.0f : static_cast<float>(c.weight_decay),
          .take1 = static_cast<float>(1 - c.beta1),
          .keep2 = static_cast<float>(c.beta2),
          .take2 = static_cast<float>(1 - c.beta2),
          .rate = static_cast<float>(rate),
          .epsilon = static_cast<float>(epsilon),
          .rectified = rectified};
}

}  // namespace clx::kernels
