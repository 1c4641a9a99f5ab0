#include "apps/train/training_options.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <sstream>
#include <utility>

#include "apps/support/exit_code.h"
#include "runtime/io/file.h"

namespace clx::app {
namespace {

constexpr std::uint64_t kMaxSeeds = 1000;

// "key = literal" of every line that is one.
std::map<std::string, std::string> values_of(const std::string& toml) {
  std::map<std::string, std::string> values;
  std::istringstream lines(toml);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find(" = ");
    if (!line.starts_with('#') && equals != std::string::npos)
      values[line.substr(0, equals)] = line.substr(equals + 3);
  }
  return values;
}

std::string value_of(const std::map<std::string, std::string>& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? "none" : found->second;
}

std::uint64_t parse_seed(const std::string& text, const std::string& whole) {
  std::uint64_t seed = 0;
  try {
    parse_value(text, &seed);
  } catch (const UsageError&) {
    throw UsageError(fmt::format("seeds: expected numbers and ranges like 0-4 or 0,2,5, got '{}'", whole));
  }
  return seed;
}

void add_optimization_options(Options& options, TrainingOptions* o) {
  options.group("Optimisation");
  options.add("epochs", &o->epochs, "passes over the training set; the schedule follows from it")
      .range(1, 1e5);
  options
      .add("batch-size", &o->batch_size,
           "images per step, in all processes; the last partial batch is dropped")
      .letter('b')
      .range(2, 1 << 20);
  options
      .add("sampler", &o->sampler,
           "random: every image once an epoch; pk: batches of P classes with equally many images of each")
      .choices({"random", "pk"});
  options.add("classes-per-batch", &o->classes_per_batch, "P of the sampler pk; 0: all").range(0, 1 << 20);
  options.add("optimizer", &o->optimizer, "how gradients become steps").choices(nn::optimizers());
  options.add("lr", &o->lr, "learning rate after warm-up; a cosine takes it to 0").range(0, 1e3);
  options.add("warmup-epochs", &o->warmup_epochs, "epochs of linear warm-up from 0.1·lr").range(0, 1e5);
  options
      .add("weight-decay", &o->optimization.weight_decay,
           "on all parameters; sgd, radam: added to the gradient; adamw: decoupled")
      .range(0, 1);
  options.add("momentum", &o->optimization.momentum, "of sgd").range(0, 1);
  options.add("dampening", &o->optimization.dampening, "of sgd").range(0, 1);
  options.add("nesterov", &o->optimization.nesterov, "Nesterov momentum, of sgd");
  options.add("beta1", &o->optimization.beta1, "of adamw and radam").range(0, 0.999999);
  options.add("beta2", &o->optimization.beta2, "of adamw and radam").range(0, 0.999999);
  options.add("epsilon", &o->optimization.epsilon, "of adamw and radam").range(0, 1);
  options.add("decoupled", &o->optimization.decoupled, "weight decay as adamw's, of radam");
}

}  // namespace

void add_training_options(Options& options, TrainingOptions* o) {
  options.group("Output");
  options.add("output-dir", &o->output_dir, "run folder; a run itself goes to <output-dir>/seed<seed>");
  options.add("overwrite", &o->overwrite, "replace a run that is already there");
  options.add("resume", &o->resume,
              "go on with a run that was interrupted, with its own options; others may only repeat them");
  options.add("seed", &o->seed, "seed of initialisation, order and augmentation");
  options.add(
      "seeds", &o->seeds,
      "several runs one after the other, as 0-4 or 0,2,5; finished ones are skipped, interrupted ones "
      "resumed");
  options.add(
      "concurrent", &o->concurrent,
      "the runs of --seeds all at once, each with the same bits: for a GPU that one run leaves idle in "
      "part, and for CPUs with more threads than a small network can use. The CPU threads are shared "
      "out; memory is needed for all runs. If one fails, the others go on");
  options.add("checkpoint-interval", &o->checkpoint_interval, "epochs between two saves of the state")
      .range(1, 1e6);
  options.add("log-interval", &o->log_interval, "steps between two reads of the loss").range(1, 1e6);
  options.add("quiet", &o->quiet, "no progress");
  add_data_options(options, &o->data);
  add_augmentation_options(options, &o->augmentation);
  options.group("Model");
  add_architecture_options(options, &o->architecture);
  options
      .add("projection", &o->architecture.projection, "outputs of the projection head, of supcon and triplet")
      .range(1, 1 << 16);
  add_objective_options(options, &o->objective);
  add_optimization_options(options, o);
  options.group("After the training of an encoder");
  options
      .add("probe", &o->probe,
           "linear classifier on its features: full-batch (100 steps on all images, the published code), "
           "minibatch (the paper's text), converged, or none")
      .choices({"full-batch", "minibatch", "converged", "none"});
  options.add("probe-epochs", &o->probe_epochs, "steps of full-batch, passes of minibatch").range(0, 1e6);
  options.add("probe-lr", &o->probe_lr, "learning rate of full-batch and minibatch").range(0, 1e3);
  options
      .add("knn-interval", &o->knn_interval,
           "epochs between two measurements of the accuracy of nearest neighbours; 0: at the end only")
      .range(0, 1e6);
  add_compute_options(options, &o->compute);
  add_graph_option(options, &o->graph, "a training step");
  add_process_options(options, &o->processes);
}

void check_training_options(const TrainingOptions& o) {
  const auto require = [](bool right, const std::string& what) {
    if (!right) throw UsageError(what);
  };
  check_objective_options(o.objective);
  augmentation(o.augmentation, "none");
  require(!o.optimization.nesterov || o.optimizer == "sgd",
          fmt::format("nesterov: is an option of --optimizer sgd, got {}", o.optimizer));
  require(!o.optimization.nesterov || (o.optimization.momentum > 0 && o.optimization.dampening == 0),
          "nesterov: expected momentum and no dampening");
  require(!o.optimization.decoupled || o.optimizer == "radam",
          fmt::format("decoupled: is an option of --optimizer radam, got {}", o.optimizer));
  require(o.warmup_epochs <= o.epochs,
          fmt::format("warmup-epochs: expected at most {} epochs, got {}", o.epochs, o.warmup_epochs));
  require(o.batch_size % o.processes.processes == 0,
          fmt::format("batch-size: expected a multiple of the {} processes, got {}", o.processes.processes,
                      o.batch_size));
  require(o.graph != GraphMode::on || o.processes.processes == 1,
          fmt::format("graph: expected auto or off with {} processes, which exchange gradients, got on",
                      o.processes.processes));
  require(o.classes_per_batch == 0 || o.sampler == "pk", "classes-per-batch: is an option of --sampler pk");
  require(!o.concurrent || !o.seeds.empty(),
          "concurrent: expected several runs, which --seeds names, got one");
  require(!o.concurrent || o.processes.processes == 1,
          fmt::format("concurrent: expected runs of one process each, got {}", o.processes.processes));
  require(!(o.resume && o.overwrite), "resume: expected one of --resume and --overwrite, got both");
}

std::vector<std::uint64_t> seeds_of(const TrainingOptions& o) {
  if (o.seeds.empty()) return {o.seed};
  std::vector<std::uint64_t> seeds;
  const auto add = [&](std::uint64_t seed) {
    if (std::ranges::find(seeds, seed) == seeds.end()) seeds.push_back(seed);
  };
  for (const std::string& list : o.seeds) {
    std::istringstream parts(list);
    for (std::string part; std::getline(parts, part, ',');) {
      const std::size_t dash = part.find('-', 1);
      const std::uint64_t first = parse_seed(part.substr(0, dash), list);
      const std::uint64_t last = dash == std::string::npos ? first : parse_seed(part.substr(dash + 1), list);
      if (last < first || last - first >= kMaxSeeds)
        throw UsageError(fmt::format("seeds: expected a range of 1 … {} seeds, got '{}'", kMaxSeeds, part));
      for (std::uint64_t i = 0; i <= last - first; ++i)
        add(first + i);
    }
  }
  if (seeds.empty()) throw UsageError("seeds: expected numbers and ranges like 0-4 or 0,2,5, got none");
  return seeds;
}

std::string config_of(const Options& options, TrainingOptions* o, std::uint64_t seed) {
  const TrainingOptions before = *o;
  o->seed = seed;
  o->seeds.clear();
  o->resume = o->overwrite = o->concurrent = false;
  std::string toml = options.to_toml();
  *o = before;
  return toml;
}

const std::vector<std::string>& options_free_to_change() {
  static const std::vector<std::string> names{
      "output-dir",   "overwrite",    "resume",    "seeds",        "checkpoint-interval",
      "log-interval", "quiet",        "data-dir",  "on-bad-image", "workers",
      "threads",      "device",       "graph",     "probe",        "probe-epochs",
      "probe-lr",     "knn-interval", "masks-dir", "concurrent"};
  return names;
}

void require_same_config(const std::filesystem::path& file, const std::string& config_toml) {
  const std::vector<std::uint8_t> bytes = io::read_file(file);
  const auto started = values_of({bytes.begin(), bytes.end()}), now = values_of(config_toml);
  std::vector<std::string> keys;
  for (const auto& [key, value] : now)
    keys.push_back(key);
  for (const auto& [key, value] : started)
    if (!now.contains(key)) keys.push_back(key);
  std::string differences;
  for (const std::string& key : keys) {
    if (std::ranges::find(options_free_to_change(), key) != options_free_to_change().end()) continue;
    if (value_of(started, key) == value_of(now, key)) continue;
    differences += fmt::format("{}{} = {} (now {})", differences.empty() ? "" : ", ", key,
                               value_of(started, key), value_of(now, key));
  }
  if (!differences.empty())
    throw UsageError(
        fmt::format("{} was started with {}; a run goes on with the options it was started with, "
                    "--overwrite starts anew, another --output-dir keeps it",
                    file.parent_path().string(), differences));
}

}  // namespace clx::app
