// The meaning of the scores of maps and masks, from sorted copies.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace clx::reference {

using Values = std::vector<double>;

inline double sum_of(const Values& v) {
  double sum = 0;
  for (const double e : v)
    sum += e;
  return sum;
}

inline Values magnitudes(Values v) {
  for (double& e : v)
    e = std::abs(e);
  return v;
}

inline double entropy(const Values& map) {
  const Values a = magnitudes(map);
  const double total = sum_of(a);
  double entropy = 0;
  for (const double e : a)
    if (e > 0) entropy -= e / total * std::log(e / total);
  return entropy;
}

inline double gini(const Values& map) {
  Values v = magnitudes(map);
  const double largest = *std::max_element(v.begin(), v.end());
  for (double& e : v)
    e = e / largest + 1e-7;
  std::sort(v.begin(), v.end());
  const auto n = static_cast<double>(v.size());
  double weighted = 0;
  for (std::size_t i = 0; i < v.size(); ++i)
    weighted += (2.0 * static_cast<double>(i + 1) - n - 1) * v[i];
  return weighted / (n * sum_of(v));
}

inline double effective(const Values& map, float threshold) {
  const Values a = magnitudes(map);
  const double largest = *std::max_element(a.begin(), a.end());
  return static_cast<double>(std::count_if(a.begin(), a.end(), [&](double e) {
    return static_cast<float>(e) / static_cast<float>(largest) > threshold;
  }));
}

/// Σ over the mask of f(map)
template <class F>
double sum_within(const Values& map, const std::vector<std::uint8_t>& mask, F&& f) {
  double sum = 0;
  for (std::size_t i = 0; i < map.size(); ++i)
    if (mask[i]) sum += f(map[i]);
  return sum;
}

/// How many of the `count` first pixels in descending order, ties in raster order, lie on the mask.
inline std::int64_t first_within(const Values& map,
                                 const std::vector<std::uint8_t>& mask,
                                 std::size_t count) {
  std::vector<std::size_t> order(map.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return map[i] > map[j]; });
  return std::count_if(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count),
                       [&](std::size_t i) { return mask[i] != 0; });
}

}  // namespace clx::reference
