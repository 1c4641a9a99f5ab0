// The meaning of adamw_step and radam_step.
#pragma once

#include <cmath>

#include "tests/reference/array.h"

namespace clx::reference {

struct AdamOptions {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  bool decoupled = false;
};

/// Both running means after gradient g.
inline void adam_means(double g, double& mean, double& square, const AdamOptions& o) {
  mean += (1 - o.beta1) * (g - mean);
  square = o.beta2 * square + (1 - o.beta2) * g * g;
}

/// Step t = 1, 2, …:  theta ← theta·(1 − lr·wd);  theta ← theta − lr·m̂/(√v̂ + ε), m̂ and v̂ the means without
/// their bias.
inline void adamw_step(
    Array& theta, const Array& gradient, Array& mean, Array& square, int t, const AdamOptions& o) {
  for (std::int64_t i = 0; i < theta.size(); ++i) {
    adam_means(gradient[i], mean[i], square[i], o);
    const double m = mean[i] / (1 - std::pow(o.beta1, t)), v = square[i] / (1 - std::pow(o.beta2, t));
    theta[i] *= 1 - o.learning_rate * o.weight_decay;
    theta[i] -= o.learning_rate * m / (std::sqrt(v) + o.epsilon);
  }
}

/// The same with weight decay in the gradient unless decoupled; the quotient has r·√(1 − β₂ᵗ)/(√v + ε) in
/// the place of 1/(√v̂ + ε), and is m̂ alone while ρ ≤ 5.
inline void radam_step(
    Array& theta, const Array& gradient, Array& mean, Array& square, int t, const AdamOptions& o) {
  const double last = 2 / (1 - o.beta2) - 1;
  const double rho = last - 2 * t * std::pow(o.beta2, t) / (1 - std::pow(o.beta2, t));
  const double r = std::sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho));
  for (std::int64_t i = 0; i < theta.size(); ++i) {
    if (o.decoupled) theta[i] *= 1 - o.learning_rate * o.weight_decay;
    adam_means(gradient[i] + (o.decoupled ? 0 : o.weight_decay * theta[i]), mean[i], square[i], o);
    const double m = mean[i] / (1 - std::pow(o.beta1, t));
    const double factor =
        rho > 5 ? r * std::sqrt(1 - std::pow(o.beta2, t)) / (std::sqrt(square[i]) + o.epsilon) : 1;
    theta[i] -= o.learning_rate * m * factor;
  }
}

}  // namespace clx::reference
