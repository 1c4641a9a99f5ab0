// The meaning of sgd_step.
#pragma once

#include "tests/reference/array.h"

namespace clx::reference {

struct SgdOptions {
  double learning_rate = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};

/// g ← gradient + weight_decay·theta; buffer ← g on the first step, momentum·buffer + (1 − dampening)·g
/// later; theta ← theta − lr·(nesterov ? g + momentum·buffer : buffer). Without momentum, theta ← theta −
/// lr·g.
inline void sgd_step(
    Array& theta, const Array& gradient, Array& buffer, int step, const SgdOptions& options) {
  for (std::int64_t i = 0; i < theta.size(); ++i) {
    const double g = gradient[i] + options.weight_decay * theta[i];
    double direction = g;
    if (options.momentum != 0) {
      buffer[i] = step == 0 ? g : options.momentum * buffer[i] + (1 - options.dampening) * g;
      direction = options.nesterov ? g + options.momentum * buffer[i] : buffer[i];
    }
    theta[i] -= options.learning_rate * direction;
  }
}

}  // namespace clx::reference
