// Per-image scores, their files and their summary.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace clx::app {

/// Columns of per-image values, grouped into files. NaN marks images that a metric could not score.
class Scores {
 public:
  explicit Scores(std::int64_t images) : images_(images) {}

  /// Appends a batch of labels and predictions.
  void predictions(const std::vector<std::int32_t>& labels, const std::vector<std::int32_t>& predicted);
  /// Appends a batch of values to column <method>_<metric> of <file>_scores.csv; without a method the
  /// column is named like the metric.
  void add(const std::string& file,
           const std::string& method,
           const std::string& metric,
           const std::vector<double>& values);

  /// Writes <file>_scores.csv with idx,true,pred and its columns; {method}_{AL,PG} files have no idx, as
  /// the reference's. Throws Error if a file cannot be written.
  void write_csv(const std::filesystem::path& folder) const;

  double accuracy() const;
  /// {column: {mean, std (n − 1), n, nan}}, NaN left out.
  nlohmann::ordered_json summary() const;
  /// Means over all images, methods by rows, metrics by columns.
  std::string table() const;

 private:
  struct Column {
    std::string method, metric;
    std::vector<double> values;
    std::string name() const { return method.empty() ? metric : method + "_" + metric; }
  };
  std::int64_t images_;
  std::vector<std::int32_t> labels_, predicted_;
  std::vector<std::pair<std::string, std::vector<Column>>> files_;  // in the order of first use
};

}  // namespace clx::app
