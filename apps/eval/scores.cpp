#include "apps/eval/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/support/table.h"
#include "runtime/io/csv.h"

namespace clx::app {
namespace {

struct Moments {
  double mean = std::numeric_limits<double>::quiet_NaN(), std = mean;
  std::int64_t n = 0;
};

Moments moments_of(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  std::int64_t n = 0;
  for (const double v : values)
    if (!std::isnan(v)) {
      sum += v;
      ++n;
    }
  Moments m;
  m.n = n;
  if (n == 0) return m;
  m.mean = sum / static_cast<double>(n);
  for (const double v : values)
    if (!std::isnan(v)) squares += (v - m.mean) * (v - m.mean);
  m.std = n > 1 ? std::sqrt(squares / static_cast<double>(n - 1)) : 0;
  return m;
}

bool is_coherence(const std::string& file) {
  return file.ends_with("_AL") || file.ends_with("_PG");
}

}  // namespace

void Scores::predictions(const std::vector<std::int32_t>& labels,
                         const std::vector<std::int32_t>& predicted) {
  labels_.insert(labels_.end(), labels.begin(), labels.end());
  predicted_.insert(predicted_.end(), predicted.begin(), predicted.end());
}

void Scores::add(const std::string& file,
                 const std::string& method,
                 const std::string& metric,
                 const std::vector<double>& values) {
  auto group = std::find_if(files_.begin(), files_.end(), [&](const auto& f) { return f.first == file; });
  if (group == files_.end()) group = files_.insert(group, {file, {}});
  auto& columns = group->second;
  auto found = std::find_if(columns.begin(), columns.end(),
                            [&](const Column& c) { return c.method == method && c.metric == metric; });
  if (found == columns.end()) found = columns.insert(found, {method, metric, {}});
  found->values.insert(found->values.end(), values.begin(), values.end());
}

void Scores::write_csv(const std::filesystem::path& folder) const {
  for (const auto& [file, columns] : files_) {
    const bool indexed = !is_coherence(file);
    std::vector<std::string> header;
    if (indexed) header = {"idx", "true", "pred"};
    for (const Column& column : columns)
      header.push_back(column.name());
    io::CsvWriter csv(folder / (file + "_scores.csv"), header);
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      std::vector<io::CsvCell> row;
      if (indexed) row = {i, labels_[i], predicted_[i]};
      for (const Column& column : columns)
        row.emplace_back(column.values[i]);
      csv.row(row);
    }
    csv.commit();
  }
}

double Scores::accuracy() const {
  std::int64_t correct = 0;
  for (std::size_t i = 0; i < labels_.size(); ++i)
    correct += labels_[i] == predicted_[i];
  return static_cast<double>(correct) / static_cast<double>(std::max<std::int64_t>(1, images_));
}

nlohmann::ordered_json Scores::summary() const {
  nlohmann::ordered_json all;
  for (const auto& [file, columns] : files_)
    for (const Column& column : columns) {
      const Moments m = moments_of(column.values);
      all[column.name()] = {{"mean", m.mean},
                            {"std", m.std},
                            {"n", m.n},
                            {"nan", static_cast<std::int64_t>(column.values.size()) - m.n}};
    }
  return all;
}

std::string Scores::table() const {
  std::vector<std::string> methods, header{"explanation"};
  std::map<std::string, std::map<std::string, double>> means;
  for (const auto& [file, columns] : files_)
    for (const Column& column : columns) {
      if (column.method.empty()) continue;
      if (std::find(methods.begin(), methods.end(), column.method) == methods.end())
        methods.push_back(column.method);
      if (std::find(header.begin(), header.end(), column.metric) == header.end())
        header.push_back(column.metric);
      means[column.method][column.metric] = moments_of(column.values).mean;
    }
  Table table(header);
  for (const std::string& method : methods) {
    std::vector<std::string> row{method};
    for (auto metric = header.begin() + 1; metric != header.end(); ++metric)
      row.push_back(cell(means[method][*metric]));
    table.row(row);
  }
  return table.to_string();
}

}  // namespace clx::app
