#include "apps/report/evaluations.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/support/exit_code.h"
#include "runtime/io/csv.h"
#include "runtime/io/file.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

ordered_json read_summary(const fs::path& file) {
  const std::vector<std::uint8_t> bytes = io::read_file(file);
  ordered_json summary = ordered_json::parse(bytes, nullptr, false);
  CLX_CHECK_DATA(summary.is_object() && summary.contains("metrics") && summary["metrics"].is_object(),
                 "reading ", file.string(), ": expected the summary of an evaluation");
  return summary;
}

// The values of every column of the folder's tables, and which images are classified correctly.
struct Tables {
  std::map<std::string, std::vector<double>> columns;
  std::vector<bool> correct;
};

Tables read_tables(const fs::path& folder) {
  Tables tables;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.path().filename().string().ends_with("_scores.csv")) continue;
    const io::CsvTable table = io::read_csv(entry.path());
    for (const std::string& column : table.header)
      tables.columns[column] = table.numbers(column);
    if (table.header.size() < 3 || table.header[0] != "idx") continue;
    const std::vector<double> label = table.numbers("true"), predicted = table.numbers("pred");
    tables.correct.assign(label.size(), false);
    for (std::size_t i = 0; i < label.size(); ++i)
      tables.correct[i] = label[i] == predicted[i];
  }
  return tables;
}

template <class T>
T value_of(const fs::path& file, const ordered_json& json, const char* key) {
  try {
    return json.at(key).get<T>();
  } catch (const ordered_json::exception&) {
    throw DataError(concat("reading ", file.string(), ": expected a value of ", key));
  }
}

std::string label_of(const fs::path& folder) {
  fs::path before;
  for (const fs::path& part : folder) {
    if (part.string().starts_with("seed") && !before.empty()) return before.filename().string();
    before = before / part;
  }
  return folder.filename().string();
}

}  // namespace

EvaluationFolder read_evaluation(const fs::path& path) {
  const fs::path file = path / "summary.json";
  const ordered_json summary = read_summary(file);
  EvaluationFolder folder;
  folder.path = path;
  folder.protocol = value_of<std::string>(file, summary, "protocol");
  folder.dataset = value_of<std::string>(file, summary, "dataset");
  folder.model = value_of<std::string>(file, summary, "model");
  folder.accuracy = value_of<double>(file, summary, "accuracy");
  Tables tables = read_tables(path);
  for (const auto& [name, metric] : summary["metrics"].items()) {
    const ColumnKey key{value_of<std::string>(file, metric, "method"),
                        value_of<std::string>(file, metric, "metric")};
    if (key.method.empty()) continue;
    const auto found = tables.columns.find(name);
    CLX_CHECK_DATA(found != tables.columns.end(), "reading ", path.string(), ": expected a table with ", name,
                   ", as summary.json has it");
    folder.columns.push_back(key);
    folder.means[key] =
        metric["mean"].is_number() ? metric["mean"].get<double>() : std::numeric_limits<double>::quiet_NaN();
    const bool all = value_of<std::string>(file, metric, "population") == "all";
    CLX_CHECK_DATA(all || tables.correct.size() == found->second.size(), "reading ", path.string(),
                   ": expected the predictions of all images");
    folder.counted[key] = all ? std::vector<bool>(found->second.size(), true) : tables.correct;
    folder.scores[key] = std::move(found->second);
  }
  return folder;
}

std::vector<Model> read_models(const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw UsageError("report: expected evaluation folders, got none");
  std::vector<Model> models;
  std::set<std::string> seen;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    fs::path path = argument.substr(equals == std::string::npos ? 0 : equals + 1);
    if (!path.has_filename()) path = path.parent_path();
    if (!seen.insert(fs::absolute(path).lexically_normal().string()).second)
      throw UsageError(concat("report: ", path.string(), " is named twice"));
    const std::string label = equals == std::string::npos ? label_of(path) : argument.substr(0, equals);
    auto model = std::ranges::find(models, label, &Model::label);
    if (model == models.end()) model = models.insert(model, Model{label, {}});
    model->seeds.push_back(read_evaluation(path));
    const EvaluationFolder &first = models[0].seeds[0], &last = model->seeds.back();
    CLX_CHECK_DATA(first.protocol == last.protocol && first.dataset == last.dataset,
                   "report: ", path.string(), " is of protocol ", last.protocol, " on ", last.dataset, ", ",
                   first.path.string(), " of ", first.protocol, " on ", first.dataset,
                   "; means of the two cannot stand in one table");
  }
  return models;
}

}  // namespace clx::app
