// clx-train: trains image classifiers and encoders, and writes run folders.
#include <algorithm>
#include <iostream>

#include "apps/support/program.h"
#include "apps/train/seeds.h"

namespace clx::app {
namespace {

// What a resumed run takes over from its config.toml.
std::vector<std::string> inherited_names(const Options& options) {
  std::vector<std::string> names = options.declared();
  std::erase_if(names, [](const std::string& name) {
    return name == "output-dir" || name == "overwrite" || name == "resume" || name == "seeds" ||
           name == "concurrent";
  });
  return names;
}

int train_all(const TrainingOptions& o, const std::vector<RunPlan>& plans, Communicator& across) {
  const Device device = start_compute(share_of_machine(o.compute, across));
  const TrainingData data{load_data(o.data, data::Split::train), load_data(o.data, data::Split::test)};
  return o.concurrent ? train_at_once(o, plans, data, device) : train_in_turn(o, plans, data, across, device);
}

int main_of_train(int argc, char** argv) {
  TrainingOptions o;
  Options options(
      "clx-train",
      "Trains an image classifier, or an encoder with a linear classifier on top, and writes a run "
      "folder: checkpoints, metrics, configuration.");
  add_training_options(options, &o);
  options.inherit("resume", inherited_names(options), [&](const std::string& on) {
    return on == "true" ? config_to_resume(o, options.given("seed")) : std::filesystem::path();
  });
  if (const auto code = options.parse(argc, argv)) return *code;
  check_training_options(o);
  o.command.assign(argv, argv + argc);
  const std::vector<std::uint64_t> seeds = seeds_of(o);
  const std::vector<RunPlan> plans = plan_runs(options, &o);
  handle_stop_signals();
  const int code =
      plans.empty() ? static_cast<int>(ok) : run_processes(o.processes.processes, [&](Communicator& across) {
        return train_all(o, plans, across);
      });
  if (code == ok && !o.seeds.empty()) std::cout << summarise(o, seeds) << '\n';
  return code;
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_train);
}
