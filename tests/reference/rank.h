// The meaning of rank_maps: a stable sort.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tests/reference/array.h"

namespace clx::reference {

/// ranks[n·pixels·channels + p·channels + c]
inline std::vector<std::int32_t> rank_maps(const Array& maps, int channels = 1, bool magnitude = false) {
  const std::int64_t pixels = maps.size() / maps.dim(0), values = pixels * channels;
  std::vector<std::int32_t> ranks(static_cast<std::size_t>(maps.dim(0) * values));
  for (std::int64_t n = 0; n < maps.dim(0); ++n) {
    const auto value = [&](std::int64_t i) {
      const double v = maps[n * pixels + i % pixels];
      return magnitude ? std::abs(v) : v;
    };
    std::vector<std::int64_t> order(static_cast<std::size_t>(values));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t i, std::int64_t j) {
      return !std::isnan(value(i)) && (std::isnan(value(j)) || value(i) > value(j));
    });
    for (std::int64_t rank = 0; rank < values; ++rank) {
      const std::int64_t i = order[static_cast<std::size_t>(rank)];
      ranks[static_cast<std::size_t>(n * values + i % pixels * channels + i / pixels)] =
          static_cast<std::int32_t>(rank);
    }
  }
  return ranks;
}

}  // namespace clx::reference
