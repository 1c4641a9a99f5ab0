#include "apps/report/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace clx::app {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Moments {
  double mean = kNaN, std = kNaN;
  std::int64_t n = 0;
};

// Of the values that are not NaN.
Moments moments_of(std::vector<double> values) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  Moments m;
  m.n = static_cast<std::int64_t>(values.size());
  if (m.n == 0) return m;
  const auto n = static_cast<double>(m.n);
  m.mean = 0;
  for (const double v : values)
    m.mean += v / n;
  double squares = 0;
  for (const double v : values)
    squares += (v - m.mean) * (v - m.mean);
  m.std = m.n > 1 ? std::sqrt(squares / (n - 1)) : 0;
  return m;
}

// Mean over seeds of each image's score; NaN where a seed does not count it.
std::vector<double> image_scores(const Model& model, const ColumnKey& key) {
  std::vector<double> sum;
  for (const EvaluationFolder& seed : model.seeds) {
    const auto found = seed.scores.find(key);
    if (found == seed.scores.end()) return {};
    if (sum.empty()) sum.assign(found->second.size(), 0);
    if (sum.size() != found->second.size()) return {};
    for (std::size_t i = 0; i < sum.size(); ++i)
      sum[i] += seed.counted.at(key)[i] ? found->second[i] / static_cast<double>(model.seeds.size()) : kNaN;
  }
  return sum;
}

}  // namespace

SeedStatistics over_seeds(const Model& model, const ColumnKey& key) {
  std::vector<double> means;
  for (const EvaluationFolder& seed : model.seeds)
    if (const auto found = seed.means.find(key); found != seed.means.end()) means.push_back(found->second);
  const Moments m = moments_of(means);
  return {m.mean, m.std, static_cast<int>(m.n)};
}

PairedDifference paired_difference(const Model& a, const Model& b, const ColumnKey& key) {
  const std::vector<double> x = image_scores(a, key), y = image_scores(b, key);
  std::vector<double> differences;
  for (std::size_t i = 0; i < x.size() && x.size() == y.size(); ++i)
    differences.push_back(y[i] - x[i]);
  const Moments m = moments_of(differences);
  return {m.mean, m.n > 1 ? 1.96 * m.std / std::sqrt(static_cast<double>(m.n)) : kNaN, m.n};
}

std::vector<ColumnKey> all_columns(const std::vector<Model>& models) {
  std::vector<ColumnKey> columns;
  for (const Model& model : models)
    for (const EvaluationFolder& seed : model.seeds)
      for (const ColumnKey& key : seed.columns)
        if (std::ranges::find(columns, key) == columns.end()) columns.push_back(key);
  return columns;
}

}  // namespace clx::app
