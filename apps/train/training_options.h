// What a training run is to do, and its options.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/support/processes.h"
#include "apps/support/workload.h"
#include "apps/train/augmentation.h"
#include "apps/train/objective.h"
#include "nn/optim/optimizer.h"
#include "nn/probe.h"

namespace clx::app {

struct TrainingOptions {
  std::filesystem::path output_dir = "runs/train";
  bool overwrite = false;
  bool resume = false;
  std::uint64_t seed = 0;
  std::vector<std::string> seeds{};  // several runs: "0-4", or "0", "2", "5"
  bool concurrent = false;           // all at once
  int checkpoint_interval = 1;       // epochs
  int log_interval = 50;             // steps
  bool quiet = false;
  DataOptions data;
  AugmentationOptions augmentation;
  std::string sampler = "random";
  int classes_per_batch = 0;  // of pk; 0: all
  ArchitectureOptions architecture;
  ObjectiveOptions objective;
  int epochs = 20;
  int batch_size = 128;
  std::string optimizer = "sgd";
  nn::OptimizerOptions optimization{.momentum = 0.9f, .weight_decay = 5e-4f};
  double lr = 0.1;
  int warmup_epochs = 0;
  std::string probe = "full-batch";  // of encoders
  int probe_epochs = 100;
  float probe_lr = 0.1f;
  int knn_interval = 0;  // epochs; 0: at the end only
  ProcessOptions processes;
  ComputeOptions compute;
  GraphMode graph = GraphMode::automatic;
  std::vector<std::string> command;  // argv
};

/// Declares all of them.
void add_training_options(Options& options, TrainingOptions* training);

/// Throws UsageError if options do not go together.
void check_training_options(const TrainingOptions& options);

/// The seeds that --seeds names, each once, in its order; without --seeds that of --seed.
/// Throws UsageError for what is no number or range of numbers.
std::vector<std::uint64_t> seeds_of(const TrainingOptions& options);

/// The configuration of the run with this seed, valid for --config: without --seeds, --concurrent,
/// --resume and --overwrite.
std::string config_of(const Options& options, TrainingOptions* training, std::uint64_t seed);

/// Options that may be changed when a run is resumed: they do not change what it computes, beyond where and
/// how fast, or only what follows the training.
const std::vector<std::string>& options_free_to_change();

/// Throws UsageError naming the options in which a run's configuration differs from another, but for those.
/// `file` is the run's.
void require_same_config(const std::filesystem::path& file, const std::string& config_toml);

}  // namespace clx::app
