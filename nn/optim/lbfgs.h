// L-BFGS: minimises a smooth function of many variables.
#pragma once

#include <functional>
#include <vector>

namespace clx::nn {

/// The function's value at x, and its gradient there.
using SmoothFunction = std::function<double(const std::vector<double>& x, std::vector<double>* gradient)>;

struct LbfgsOptions {
  double tolerance = 1e-7;  // of the gradient's largest component
  int max_iterations = 1000;
  int memory = 20;  // pairs of steps and gradient changes kept
};

struct Minimum {
  std::vector<double> x;
  double value = 0;
  double gradient = 0;  // largest magnitude of a component
  int iterations = 0;
  int evaluations = 0;
  bool converged = false;  // gradient ≤ tolerance
};

/// Descends from `start` until the gradient is small, the iterations are used up or no step makes the value
/// smaller any more.
///
/// Throws    Error if the value at `start` is not finite
/// Source    Nocedal & Wright, Numerical Optimization (2006), algorithm 7.4; step lengths by bisection for
///           the weak Wolfe conditions (Lewis & Overton 2013, algorithm 2.6; c₁ = 1e-4, c₂ = 0.9)
Minimum minimize(const SmoothFunction& f, std::vector<double> start, const LbfgsOptions& options = {});

}  // namespace clx::nn
