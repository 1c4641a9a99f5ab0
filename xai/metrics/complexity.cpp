#include "xai/metrics/complexity.h"

#include <cmath>
#include <limits>

#include "runtime/ops/map_scores.h"
#include "runtime/ops/rank.h"
#include "xai/require_maps.h"

namespace clx::xai {
namespace {

// f(scores) of each map.
template <class F>
auto of_each(const std::vector<MapScores>& scores, F&& f) {
  std::vector<decltype(f(scores[0]))> values;
  values.reserve(scores.size());
  for (const MapScores& s : scores)
    values.push_back(f(s));
  return values;
}

}  // namespace

std::vector<double> complexity(const Tensor& maps, const ComplexityOptions& options) {
  require_maps("complexity", maps);
  const double unit = options.normalized ? std::log(static_cast<double>(maps.dim(1) * maps.dim(2))) : 1;
  return of_each(map_scores(maps), [&](const MapScores& s) { return s.entropy / unit; });
}

std::vector<double> effective_complexity(const Tensor& maps, float threshold) {
  require_maps("effective_complexity", maps);
  return of_each(map_scores(maps, {}, threshold), [](const MapScores& s) {
    return s.zero != 0 ? std::numeric_limits<double>::quiet_NaN() : s.effective;
  });
}

std::vector<double> sparseness(const Tensor& maps) {
  require_maps("sparseness", maps);
  return of_each(map_scores(maps, rank_maps(maps, {.magnitude = true})),
                 [](const MapScores& s) { return s.gini; });
}

std::vector<std::uint8_t> all_zero(const Tensor& maps) {
  require_maps("all_zero", maps);
  return of_each(map_scores(maps), [](const MapScores& s) { return static_cast<std::uint8_t>(s.zero != 0); });
}

}  // namespace clx::xai
