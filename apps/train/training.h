// One training run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/support/workload.h"
#include "nn/optim/optimizer.h"

namespace clx::app {

struct TrainingOptions {
  std::filesystem::path output_dir = "runs/train";
  bool overwrite = false;
  int log_interval = 50;
  bool quiet = false;
  DataOptions data;
  std::string augment = "crop-flip";
  ArchitectureOptions architecture;
  int epochs = 20;
  int batch_size = 128;
  double lr = 0.1;
  nn::OptimizerOptions optimizer{.momentum = 0.9f, .weight_decay = 5e-4f};
  int warmup_epochs = 0;
  float label_smoothing = 0;
  std::uint64_t seed = 0;
  ComputeOptions compute;
  std::string config_toml;           // what --print-config shows, kept in the run folder
  std::vector<std::string> command;  // argv
};

/// Trains with cross-entropy and writes <output_dir>/seed<seed>: after every epoch checkpoints/last and a
/// line of metrics.jsonl, checkpoints/best at the best test accuracy, checkpoints/final at the end.
/// Returns the exit code: 0, or that of a stop on request after saving.
/// Throws    NonFiniteLoss naming the step (the last good checkpoint is kept); Error, DataError, UsageError
int train(const TrainingOptions& options);

}  // namespace clx::app
