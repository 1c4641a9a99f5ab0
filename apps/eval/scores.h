// Per-image scores, their files and their summary.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace clx::app {

/// Which images count in means.
enum class Population { all, correct };

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
  /// The same of class numbers, which stand in the file and in no summary.
  void add_classes(const std::string& file,
                   const std::string& name,
                   const std::vector<std::int32_t>& classes);
  /// Which images the means are of; coherence may differ from the other metrics.
  void count(Population others, Population coherence);

  /// Writes <file>_scores.csv with idx,true,pred and its columns, of all images; {method}_{AL,PG} files have
  /// no idx, as the reference's. Throws Error if a file cannot be written.
  void write_csv(const std::filesystem::path& folder) const;

  double accuracy() const;
  /// {column: {method, metric, population, mean, std (n − 1), n, nan}} of the images that count, NaN left
  /// out.
  nlohmann::ordered_json summary() const;
  /// Means, methods by rows, metrics by columns, for people.
  std::string table() const;
  /// The same as Markdown: mean ± standard deviation and n.
  std::string markdown() const;

 private:
  struct Column {
    std::string method, metric;
    bool classes = false, coherence = false;
    std::vector<double> values;
    std::string name() const { return method.empty() ? metric : method + "_" + metric; }
  };
  struct Moments {
    double mean = 0, std = 0;
    std::int64_t n = 0, missing = 0;
  };

  Column& column(const std::string& file, const std::string& method, const std::string& metric);
  bool counts(const Column& column, std::size_t image) const;
  Moments moments_of(const Column& column) const;
  /// Methods in order of first use, the header of metrics, and the cell of each.
  template <class Cell>
  std::vector<std::vector<std::string>> grid(Cell&& cell) const;

  std::int64_t images_;
  Population others_ = Population::all, coherence_ = Population::all;
  std::vector<std::int32_t> labels_, predicted_;
  std::vector<std::pair<std::string, std::vector<Column>>> files_;  // in the order of first use
};

/// "all" or "correct".
std::string name_of(Population population);

}  // namespace clx::app
