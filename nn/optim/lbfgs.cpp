#include "nn/optim/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

#include "runtime/check.h"

namespace clx::nn {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += a[i] * b[i];
  return sum;
}

Vector plus(const Vector& a, double t, const Vector& b) {
  Vector sum = a;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum[i] += t * b[i];
  return sum;
}

double largest(const Vector& v) {
  double size = 0;
  for (const double x : v)
    size = std::max(size, std::fabs(x));
  return size;
}

struct Pair {
  Vector step, change;  // s, y
  double inverse;       // 1/(s·y)
};

// −H·g by the two-loop recursion.
Vector direction(const std::deque<Pair>& pairs, const Vector& g) {
  Vector d = g;
  std::vector<double> alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].inverse * dot(pairs[i].step, d);
    d = plus(d, -alpha[i], pairs[i].change);
  }
  const double scale = pairs.empty()
                           ? 1 / std::max(1e-300, std::sqrt(dot(g, g)))
                           : 1 / (pairs.back().inverse * dot(pairs.back().change, pairs.back().change));
  for (double& v : d)
    v *= -scale;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    d = plus(d, -alpha[i] - pairs[i].inverse * dot(pairs[i].change, d), pairs[i].step);
  return d;
}

// Differences of values below this say nothing.
double rounding_of(double value) {
  return 4 * std::numeric_limits<double>::epsilon() * std::fabs(value);
}

struct Point {
  Vector x, gradient;
  double value;
};

// The next point on the ray; false if none was found that is lower.
bool line_search(const SmoothFunction& f, const Vector& d, Point* point, int* evaluations) {
  constexpr double kDecrease = 1e-4, kCurvature = 0.9;
  constexpr int kTrials = 40;
  const double slope = dot(point->gradient, d);
  if (!(slope < 0)) return false;
  const double rounding = rounding_of(point->value);
  double low = 0, high = std::numeric_limits<double>::infinity(), t = 1;
  Point next;
  for (int trial = 0; trial < kTrials; ++trial) {
    next.x = plus(point->x, t, d);
    next.value = f(next.x, &next.gradient);
    ++*evaluations;
    if (!(next.value <= point->value + kDecrease * t * slope + rounding)) {
      high = t;
    } else if (dot(next.gradient, d) < kCurvature * slope) {
      low = t;
    } else {
      *point = std::move(next);
      return true;
    }
    t = std::isinf(high) ? 2 * t : (low + high) / 2;
  }
  return false;
}

}  // namespace

Minimum minimize(const SmoothFunction& f, std::vector<double> start, const LbfgsOptions& options) {
  Minimum result;
  Point point{std::move(start), {}, 0};
  point.value = f(point.x, &point.gradient);
  result.evaluations = 1;
  CLX_CHECK(std::isfinite(point.value), "minimize: expected a finite value at the start, got ", point.value);
  std::deque<Pair> pairs;
  constexpr int kPatience = 10;  // iterations without a lower value
  int idle = 0;
  while (largest(point.gradient) > options.tolerance && result.iterations < options.max_iterations &&
         idle < kPatience) {
    const Point before = point;
    if (!line_search(f, direction(pairs, point.gradient), &point, &result.evaluations)) {
      if (pairs.empty()) break;
      pairs.clear();  // once more along the gradient
      continue;
    }
    ++result.iterations;
    idle = before.value - point.value > rounding_of(before.value) ? 0 : idle + 1;
    Pair pair{plus(point.x, -1, before.x), plus(point.gradient, -1, before.gradient), 0};
    const double curvature = dot(pair.step, pair.change);
    if (!(curvature > 0)) continue;
    pair.inverse = 1 / curvature;
    pairs.push_back(std::move(pair));
    if (static_cast<int>(pairs.size()) > options.memory) pairs.pop_front();
  }
  result.gradient = largest(point.gradient);
  result.converged = result.gradient <= options.tolerance;
  result.value = point.value;
  result.x = std::move(point.x);
  return result;
}

}  // namespace clx::nn
