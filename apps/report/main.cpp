// clx-report: compares evaluations: several models, several seeds of each.
#include <cmath>
#include <fmt/format.h>
#include <iostream>

#include "apps/report/statistics.h"
#include "apps/support/html.h"
#include "apps/support/options.h"
#include "apps/support/output_folder.h"
#include "apps/support/program.h"
#include "runtime/io/csv.h"
#include "runtime/io/file.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;

using Rows = std::vector<std::vector<std::string>>;  // the first is the header

bool is_result(const std::string& name) {
  return name == "report.md" || name == "report.csv" || name == "differences.csv" || name == "report.html";
}

std::string plus_minus(double mean, double deviation, std::int64_t n) {
  if (std::isnan(mean)) return "-";
  return n > 1 ? fmt::format("{:.4f} ± {:.4f}", mean, deviation) : fmt::format("{:.4f}", mean);
}

// Metrics by rows, models by columns.
Rows means_table(const std::vector<Model>& models) {
  Rows rows{{"explanation", "metric"}};
  std::vector<std::string> accuracy{"", "accuracy"};
  for (const Model& model : models) {
    rows[0].push_back(fmt::format("{} ({})", model.label, model.seeds.size()));
    double sum = 0;
    for (const EvaluationFolder& seed : model.seeds)
      sum += seed.accuracy / static_cast<double>(model.seeds.size());
    accuracy.push_back(fmt::format("{:.4f}", sum));
  }
  rows.push_back(accuracy);
  for (const ColumnKey& key : all_columns(models)) {
    std::vector<std::string>& row = rows.emplace_back(std::vector<std::string>{key.method, key.metric});
    for (const Model& model : models) {
      const SeedStatistics s = over_seeds(model, key);
      row.push_back(plus_minus(s.mean, s.std, s.seeds));
    }
  }
  return rows;
}

// Each later model against the first.
Rows differences_table(const std::vector<Model>& models) {
  Rows rows{{"explanation", "metric"}};
  for (std::size_t m = 1; m < models.size(); ++m)
    rows[0].push_back(fmt::format("{} − {}", models[m].label, models[0].label));
  for (const ColumnKey& key : all_columns(models)) {
    std::vector<std::string>& row = rows.emplace_back(std::vector<std::string>{key.method, key.metric});
    for (std::size_t m = 1; m < models.size(); ++m) {
      const PairedDifference d = paired_difference(models[0], models[m], key);
      row.push_back(d.n > 0 ? fmt::format("{} ({})", plus_minus(d.mean, d.half_width, d.n), d.n) : "-");
    }
  }
  return rows;
}

std::string markdown(const Rows& rows) {
  std::string text = fmt::format("| {} |\n|", fmt::join(rows[0], " | "));
  for (std::size_t c = 0; c < rows[0].size(); ++c)
    text += c < 2 ? "---|" : "--:|";
  text += '\n';
  for (auto row = rows.begin() + 1; row != rows.end(); ++row)
    text += fmt::format("| {} |\n", fmt::join(*row, " | "));
  return text;
}

std::string html(const Rows& rows) {
  std::string text = "<table>\n";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    text += "<tr>";
    for (const std::string& cell : rows[r])
      text += fmt::format("<{0}>{1}</{0}>", r == 0 ? "th" : "td", html_text(cell));
    text += "</tr>\n";
  }
  return text + "</table>\n";
}

void write_numbers(const fs::path& folder, const std::vector<Model>& models) {
  io::CsvWriter means(folder / "report.csv", {"model", "explanation", "metric", "mean", "std", "seeds"});
  io::CsvWriter differences(folder / "differences.csv",
                            {"model", "against", "explanation", "metric", "mean", "half_width_95", "images"});
  for (const Model& model : models)
    for (const ColumnKey& key : all_columns(models)) {
      const SeedStatistics s = over_seeds(model, key);
      means.row({model.label, key.method, key.metric, s.mean, s.std, s.seeds});
      if (&model == &models[0]) continue;
      const PairedDifference d = paired_difference(models[0], model, key);
      differences.row({model.label, models[0].label, key.method, key.metric, d.mean, d.half_width, d.n});
    }
  means.commit();
  differences.commit();
}

void write_report(const fs::path& folder, const std::vector<Model>& models) {
  const EvaluationFolder& first = models[0].seeds[0];
  const std::string what = fmt::format("Protocol {}, data set {}.", first.protocol, first.dataset);
  const std::string means_note = "Mean ± standard deviation over seeds (their number in brackets).";
  const std::string differences_note =
      "Difference on the images that both score, each image's score averaged over seeds: mean ± half of the "
      "95 % "
      "interval (number of images).";
  const Rows means = means_table(models), differences = differences_table(models);
  std::string text = fmt::format("# Explanations compared\n\n{} {}\n\n{}", what, means_note, markdown(means));
  std::string body = fmt::format("<p>{} {}</p>\n{}", html_text(what), means_note, html(means));
  if (models.size() > 1) {
    text += fmt::format("\n{}\n\n{}", differences_note, markdown(differences));
    body += fmt::format("<p>{}</p>\n{}", differences_note, html(differences));
  }
  const std::string page = html_page(
      "Explanations compared",
      "table{border-collapse:collapse}td,th{padding:.2em .8em;border-bottom:1px solid #ccc;text-align:right}"
      "td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}",
      body);
  io::write_file(folder / "report.md", text.data(), text.size());
  io::write_file(folder / "report.html", page.data(), page.size());
  write_numbers(folder, models);
  std::cout << text << fmt::format("\nreport: {}\n", folder.string());
}

int main_of_report(int argc, char** argv) {
  std::vector<std::string> folders;
  fs::path output_dir = "report";
  bool overwrite = false;
  Options options(
      "clx-report",
      "Compares evaluations of clx-eval: one column per model, mean and standard deviation over its "
      "seeds, and differences on the same images.");
  options
      .positional(
          "folders", &folders,
          "evaluation folders, as folder or label=folder; folders of one label are seeds of one model "
          "(without a label: the name before seed<k> in the path)")
      .required();
  options.add("output-dir", &output_dir, "folder for report.md, report.csv, differences.csv and report.html");
  options.add("overwrite", &overwrite, "replace the report that the folder holds");
  if (const auto code = options.parse(argc, argv)) return *code;
  const std::vector<Model> models = read_models(folders);
  check_no_results(output_dir, is_result, overwrite);
  make_output_folder(output_dir);
  if (overwrite) remove_results(output_dir, is_result);
  write_report(output_dir, models);
  return ok;
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_report);
}
