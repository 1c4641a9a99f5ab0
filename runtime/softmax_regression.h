// The loss of a linear softmax classifier on fixed features, in double precision on the host.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace clx {

/// Multinomial logistic regression as a function of its parameters, for optimizers that need more digits
/// than f32 has.
///
///   L(w,b) = (1/N) Σ_i −ln softmax(w·x_i + b)[labels_i] + (weight_decay/2)·(‖w‖² + ‖b‖²)
class SoftmaxRegression {
 public:
  /// Shapes    x (N,D) f32 on the cpu, which is kept; labels N values within 0 … classes − 1
  /// Throws    Error if a shape or a label does not fit
  SoftmaxRegression(const Tensor& x, std::vector<std::int32_t> labels, int classes, double weight_decay = 0);

  /// w (classes × D, row-major), then b (classes).
  std::int64_t parameters() const { return classes_ * (x_.dim(1) + 1); }

  /// L, and its gradient in *gradient.
  /// Notes     Sums over fixed ranges of samples that are added in order: the same bits for any number of
  ///           threads.
  double operator()(const std::vector<double>& parameters, std::vector<double>* gradient) const;

 private:
  double range(const std::vector<double>& parameters,
               std::int64_t begin,
               std::int64_t end,
               double* gradient) const;

  Tensor x_;
  std::vector<std::int32_t> labels_;
  std::int64_t classes_;
  double weight_decay_;
};

}  // namespace clx
