// Evaluation folders of clx-eval, as a report reads them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace clx::app {

/// Which column of scores.
struct ColumnKey {
  std::string method, metric;
  auto operator<=>(const ColumnKey&) const = default;
  std::string name() const { return method + "_" + metric; }
};

/// One folder.
struct EvaluationFolder {
  std::filesystem::path path;
  std::string protocol, dataset, model;
  double accuracy = 0;
  std::vector<ColumnKey> columns;                   // in the order of summary.json
  std::map<ColumnKey, double> means;                // as summary.json has them; NaN where nothing counted
  std::map<ColumnKey, std::vector<double>> scores;  // of every image
  std::map<ColumnKey, std::vector<bool>> counted;   // which images the means are of
};

/// Reads summary.json and the tables of a folder. Throws DataError naming the file if one is missing or
/// damaged.
EvaluationFolder read_evaluation(const std::filesystem::path& path);

/// Folders of one model: its seeds.
struct Model {
  std::string label;
  std::vector<EvaluationFolder> seeds;
};

/// The models that `label=folder` and `folder` name, in the order of their first folder. Without a label it
/// is the folder's path up to a part seed<k>, its last part if that is none. Folders of one label are seeds.
/// Throws    UsageError if there are no folders, or one is named twice; DataError as read_evaluation, and if
///           protocols or data sets differ
std::vector<Model> read_models(const std::vector<std::string>& arguments);

}  // namespace clx::app
