#include "xai/metrics/complexity.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "xai/require_maps.h"

namespace clx::xai {
namespace {

// Calls f with |a| of each map; NaN where the map is zero everywhere.
template <class F>
std::vector<double> for_each_map(const char* who, const Tensor& maps, F&& f) {
  require_maps(who, maps);
  const Tensor host = maps.to(kCpu);
  const std::int64_t n = host.dim(1) * host.dim(2);
  std::vector<double> values, a(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < host.dim(0); ++i) {
    const float* m = host.data() + i * n;
    std::transform(m, m + n, a.begin(), [](float v) { return std::abs(static_cast<double>(v)); });
    const bool empty = std::all_of(a.begin(), a.end(), [](double v) { return v == 0; });
    values.push_back(empty ? std::numeric_limits<double>::quiet_NaN() : f(a));
  }
  return values;
}

double sum_of(const std::vector<double>& a) {
  double sum = 0;
  for (const double v : a)
    sum += v;
  return sum;
}

}  // namespace

std::vector<double> complexity(const Tensor& maps) {
  return for_each_map("complexity", maps, [](const std::vector<double>& a) {
    const double total = sum_of(a);
    double entropy = 0;
    for (const double v : a)
      if (v > 0) entropy -= v / total * std::log(v / total);
    return entropy;
  });
}

std::vector<double> sparseness(const Tensor& maps) {
  return for_each_map("sparseness", maps, [](std::vector<double> v) {
    const double largest = *std::max_element(v.begin(), v.end());
    for (double& e : v)
      e = e / largest + 1e-7;
    std::sort(v.begin(), v.end());
    const auto n = static_cast<double>(v.size());
    double weighted = 0;
    for (std::size_t i = 0; i < v.size(); ++i)
      weighted += (2.0 * static_cast<double>(i + 1) - n - 1) * v[i];
    return weighted / (n * sum_of(v));
  });
}

}  // namespace clx::xai
