#include "apps/eval/scores.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/support/table.h"
#include "runtime/io/csv.h"

namespace clx::app {
namespace {

bool is_coherence(const std::string& file) {
  return file.ends_with("_AL") || file.ends_with("_PG");
}

}  // namespace

std::string name_of(Population population) {
  return population == Population::all ? "all" : "correct";
}

void Scores::predictions(const std::vector<std::int32_t>& labels,
                         const std::vector<std::int32_t>& predicted) {
  labels_.insert(labels_.end(), labels.begin(), labels.end());
  predicted_.insert(predicted_.end(), predicted.begin(), predicted.end());
}

Scores::Column& Scores::column(const std::string& file,
                               const std::string& method,
                               const std::string& metric) {
  auto group = std::find_if(files_.begin(), files_.end(), [&](const auto& f) { return f.first == file; });
  if (group == files_.end()) group = files_.insert(group, {file, {}});
  auto& columns = group->second;
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const Column& c) { return c.method == method && c.metric == metric; });
  if (found != columns.end()) return *found;
  Column& added = columns.emplace_back();
  added.method = method;
  added.metric = metric;
  added.coherence = is_coherence(file);
  return added;
}

void Scores::add(const std::string& file,
                 const std::string& method,
                 const std::string& metric,
                 const std::vector<double>& values) {
  auto& all = column(file, method, metric).values;
  all.insert(all.end(), values.begin(), values.end());
}

void Scores::add_classes(const std::string& file,
                         const std::string& name,
                         const std::vector<std::int32_t>& classes) {
  add(file, "", name, {classes.begin(), classes.end()});
  column(file, "", name).classes = true;
}

void Scores::count(Population others, Population coherence) {
  others_ = others;
  coherence_ = coherence;
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
      for (const Column& column : columns) {
        const double value = column.values[i];
        row.push_back(column.classes ? io::CsvCell(static_cast<std::int64_t>(value)) : io::CsvCell(value));
      }
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

bool Scores::counts(const Column& column, std::size_t image) const {
  const Population population = column.coherence ? coherence_ : others_;
  return population == Population::all || labels_[image] == predicted_[image];
}

Scores::Moments Scores::moments_of(const Column& column) const {
  Moments m;
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < column.values.size(); ++i) {
    if (!counts(column, i)) continue;
    std::isnan(column.values[i]) ? ++m.missing : ++m.n;
    if (!std::isnan(column.values[i])) sum += column.values[i];
  }
  m.mean = m.n > 0 ? sum / static_cast<double>(m.n) : std::numeric_limits<double>::quiet_NaN();
  for (std::size_t i = 0; i < column.values.size(); ++i)
    if (counts(column, i) && !std::isnan(column.values[i]))
      squares += (column.values[i] - m.mean) * (column.values[i] - m.mean);
  m.std = m.n > 1 ? std::sqrt(squares / static_cast<double>(m.n - 1)) : m.n > 0 ? 0 : m.mean;
  return m;
}

nlohmann::ordered_json Scores::summary() const {
  nlohmann::ordered_json all;
  for (const auto& [file, columns] : files_)
    for (const Column& column : columns) {
      if (column.classes) continue;
      const Moments m = moments_of(column);
      all[column.name()] = {{"method", column.method},
                            {"metric", column.metric},
                            {"population", name_of(column.coherence ? coherence_ : others_)},
                            {"mean", m.mean},
                            {"std", m.std},
                            {"n", m.n},
                            {"nan", m.missing}};
    }
  return all;
}

template <class Cell>
std::vector<std::vector<std::string>> Scores::grid(Cell&& cell) const {
  std::vector<std::string> methods, header{"explanation"};
  const auto keep = [](std::vector<std::string>& list, const std::string& name) {
    if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
  };
  for (const auto& [file, columns] : files_)
    for (const Column& column : columns) {
      if (column.method.empty()) continue;
      keep(methods, column.method);
      keep(header, column.metric);
    }
  std::vector<std::vector<std::string>> rows{header};
  for (const std::string& method : methods) {
    std::vector<std::string>& row = rows.emplace_back(header.size(), "-");
    row[0] = method;
    for (const auto& [file, columns] : files_)
      for (const Column& column : columns)
        if (column.method == method)
          row[static_cast<std::size_t>(std::find(header.begin(), header.end(), column.metric) -
                                       header.begin())] = cell(moments_of(column));
  }
  return rows;
}

std::string Scores::table() const {
  const auto rows = grid([](const Moments& m) { return cell(m.mean); });
  Table table(rows[0]);
  for (auto row = rows.begin() + 1; row != rows.end(); ++row)
    table.row(*row);
  return table.to_string();
}

std::string Scores::markdown() const {
  const auto rows = grid([](const Moments& m) {
    return m.n > 0 ? fmt::format("{:.4f} ± {:.4f} ({})", m.mean, m.std, m.n) : "-";
  });
  std::string text = fmt::format("| {} |\n|", fmt::join(rows[0], " | "));
  for (std::size_t c = 0; c < rows[0].size(); ++c)
    text += c == 0 ? "---|" : "--:|";
  text += '\n';
  for (auto row = rows.begin() + 1; row != rows.end(); ++row)
    text += fmt::format("| {} |\n", fmt::join(*row, " | "));
  return text;
}

}  // namespace clx::app
