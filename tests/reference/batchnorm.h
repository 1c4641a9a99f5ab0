// The meaning of batchnorm.
#pragma once

#include <algorithm>
#include <cmath>

#include "tests/reference/array.h"

namespace clx::reference {

struct BatchNormOptions {
  bool training = false, relu = false;
  double momentum = 0.1f, eps = 1e-5f;
  Array residual{};
};

struct BatchNorm {
  Array y;
  Array running_mean, running_var;  // after the call
};

/// y = relu?(gamma·(x − mean)/√(var + eps) + beta + residual?) for each channel, the last axis. In training
/// mean and var are those of the batch over all other axes (var divided by M, their number) and
/// running ← (1 − momentum)·running + momentum·batch (var divided by M − 1). In evaluation they are running.
inline BatchNorm batchnorm(const Array& x,
                           const Array& gamma,
                           const Array& beta,
                           Array running_mean,
                           Array running_var,
                           const BatchNormOptions& options = {}) {
  const std::int64_t C = x.dim(-1), M = x.size() / C;
  Array y(x.shape);
  for (std::int64_t c = 0; c < C; ++c) {
    double mean = running_mean[c], var = running_var[c];
    if (options.training) {
      mean = 0;
      for (std::int64_t i = 0; i < M; ++i)
        mean += x[i * C + c] / static_cast<double>(M);
      double squares = 0;
      for (std::int64_t i = 0; i < M; ++i)
        squares += (x[i * C + c] - mean) * (x[i * C + c] - mean);
      var = squares / static_cast<double>(M);
      const double unbiased = squares / static_cast<double>(M - 1);
      running_mean[c] = (1 - options.momentum) * running_mean[c] + options.momentum * mean;
      running_var[c] = (1 - options.momentum) * running_var[c] + options.momentum * unbiased;
    }
    for (std::int64_t i = c; i < x.size(); i += C) {
      const double normalised = gamma[c] * (x[i] - mean) / std::sqrt(var + options.eps) + beta[c];
      const double sum = normalised + (options.residual.defined() ? options.residual[i] : 0.0);
      y[i] = options.relu ? std::max(sum, 0.0) : sum;
    }
  }
  return {y, running_mean, running_var};
}

}  // namespace clx::reference
