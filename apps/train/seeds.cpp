#include "apps/train/seeds.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "runtime/check.h"
#include "runtime/io/file.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct Result {
  std::string name, words;
  bool percent = true;
  std::vector<double> values{};
};

// What a run ended with.
void add_results(const fs::path& folder, const TrainingOptions& o, std::vector<Result>* results) {
  const std::vector<ordered_json> epochs = read_metrics(folder / "metrics.jsonl");
  CLX_CHECK_DATA(!epochs.empty(), "summary: expected epochs in ", (folder / "metrics.jsonl").string(),
                 ", got none");
  const auto add = [&](const char* name, const char* words, bool percent, double value) {
    auto found = std::ranges::find(*results, name, &Result::name);
    if (found == results->end()) found = results->insert(found, {name, words, percent});
    found->values.push_back(value);
  };
  if (o.objective.loss == Loss::ce) {
    double best = 0;
    for (const ordered_json& epoch : epochs)
      best = std::max(best, epoch.value("test_accuracy", 0.0));
    add("test_accuracy", "test accuracy", true, epochs.back().value("test_accuracy", 0.0));
    add("best_test_accuracy", "best epoch's", true, best);
  } else if (o.probe != "none") {
    const fs::path file = probe_file(folder / "checkpoints").replace_extension(".json");
    const std::vector<std::uint8_t> text = io::read_file(file);
    const auto probe = ordered_json::parse(text, nullptr, false);
    CLX_CHECK_DATA(probe.is_object() && probe.contains("test") && probe.contains("knn"),
                   "summary: expected the ", "results of a probe in ", file.string());
    add("probe_test_accuracy", "probe's test accuracy", true, probe["test"].value("accuracy", 0.0));
    add("knn_accuracy", "nearest neighbours'", true, probe["knn"].value("accuracy", 0.0));
    add("probe_max_probability", "mean max probability", false, probe["test"].value("max_probability", 0.0));
  }
  add("train_loss", "training loss", false, epochs.back().value("train_loss", 0.0));
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// 0 of a single value.
double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double sum = 0;
  for (const double value : values)
    sum += (value - mean) * (value - mean);
  return values.size() > 1 ? std::sqrt(sum / static_cast<double>(values.size() - 1)) : 0;
}

std::optional<RunPlan> plan_run(const TrainingOptions& o, std::uint64_t seed, const std::string& config) {
  const fs::path folder = seed_folder(o.output_dir, seed);
  if (o.overwrite) return RunPlan{seed, config, IfRunExists::overwrite};
  if (!o.resume && o.seeds.empty()) return RunPlan{seed, config, IfRunExists::refuse};
  const Progressed progressed = progress_of(folder, o);
  if (progressed == Progressed::nothing) {
    CLX_CHECK(!o.seeds.empty(), "output folder ", folder.string(), ": no run to resume");
    return RunPlan{seed, config, IfRunExists::refuse};
  }
  require_same_config(folder / "config.toml", config);
  if (progressed == Progressed::begun) return RunPlan{seed, config, IfRunExists::overwrite};
  if (progressed == Progressed::interrupted) return RunPlan{seed, config, IfRunExists::resume};
  std::cout << fmt::format("{}: finished already\n", folder.string()) << std::flush;
  return std::nullopt;
}

}  // namespace

std::vector<RunPlan> plan_runs(const Options& options, TrainingOptions* training) {
  std::vector<RunPlan> plans;
  for (const std::uint64_t seed : seeds_of(*training))
    if (const auto plan = plan_run(*training, seed, config_of(options, training, seed)))
      plans.push_back(*plan);
  return plans;
}

fs::path config_to_resume(const TrainingOptions& o, bool seed_given) {
  if (seed_given || !o.seeds.empty()) {
    for (const std::uint64_t seed : seeds_of(o)) {
      const fs::path file = seed_folder(o.output_dir, seed) / "config.toml";
      if (fs::exists(file)) return file;
    }
    return {};
  }
  return fs::exists(o.output_dir) ? find_run(o.output_dir) / "config.toml" : fs::path();
}

std::string summarise(const TrainingOptions& o, const std::vector<std::uint64_t>& seeds) {
  std::vector<Result> results;
  for (const std::uint64_t seed : seeds)
    add_results(seed_folder(o.output_dir, seed), o, &results);
  ordered_json summary{{"loss", name_of(o.objective.loss)}, {"seeds", seeds}};
  std::string line = fmt::format("{} runs:", seeds.size());
  for (const Result& result : results) {
    const double mean = mean_of(result.values), deviation = deviation_of(result.values);
    summary["metrics"][result.name] = {{"mean", mean}, {"std", deviation}, {"values", result.values}};
    line += result.percent ? fmt::format(" {} {:.2f} ± {:.2f} %,", result.words, 100 * mean, 100 * deviation)
                           : fmt::format(" {} {:.4f} ± {:.4f},", result.words, mean, deviation);
  }
  line.pop_back();
  const std::string text = summary.dump(2) + "\n";
  io::write_file(o.output_dir / "summary.json", text.data(), text.size());
  return line;
}

}  // namespace clx::app
