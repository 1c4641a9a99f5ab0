#include "apps/train/seeds.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <thread>

#include "apps/support/program.h"
#include "runtime/check.h"
#include "runtime/io/file.h"
#include "runtime/lane.h"
#include "runtime/threads.h"

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

int train_in_turn(const TrainingOptions& o,
                  const std::vector<RunPlan>& plans,
                  const TrainingData& data,
                  Communicator& across,
                  Device device) {
  for (const RunPlan& plan : plans)
    if (const int code = train(o, plan, data, across, device); code != ok) return code;
  return ok;
}

int train_at_once(const TrainingOptions& o,
                  const std::vector<RunPlan>& plans,
                  const TrainingData& data,
                  Device device) {
  const int runs = static_cast<int>(plans.size()), all = threads();
  std::vector<int> codes(plans.size(), ok);
  std::vector<std::jthread> running;
  for (int i = 0; i < runs; ++i)
    running.emplace_back([&, i] {
      const RunPlan& plan = plans[static_cast<std::size_t>(i)];
      codes[static_cast<std::size_t>(i)] = exit_code_of(fmt::format("seed {}: ", plan.seed), [&] {
        const Lane lane(device, std::max(1, all / runs + (i < all % runs ? 1 : 0)));
        Communicator alone(1);
        return train(o, plan, data, alone, device);
      });
    });
  running.clear();
  std::vector<std::uint64_t> failed_seeds;
  int failure = ok, stop = ok;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] == ok) continue;
    int& first = codes[i] == stopped || codes[i] == interrupted ? stop : failure;
    if (first == ok) first = codes[i];
    if (&first == &failure) failed_seeds.push_back(plans[i].seed);
  }
  if (failure == ok) return stop;
  std::string advice;
  if (std::ranges::count(codes, out_of_memory) > 0)
    advice = "; the same command without --concurrent goes on with them and needs less memory";
  std::cerr << fmt::format("error: seeds that failed: {}{}\n", fmt::join(failed_seeds, ", "), advice);
  return failure;
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
