// One training run.
#pragma once

#include <string>

#include "apps/support/run_folder.h"
#include "apps/train/training_options.h"
#include "nn/data/dataset.h"
#include "runtime/communicator.h"

namespace clx::app {

/// What a run folder holds.
enum class Progressed {
  nothing,      // no run
  begun,        // a run that was stopped before it had saved anything
  interrupted,  // a state to go on from
  finished
};

/// Throws DataError if the folder holds weights but no state to go on from.
Progressed progress_of(const std::filesystem::path& folder, const TrainingOptions& options);

/// The images of all runs of a command.
struct TrainingData {
  data::Dataset train, test;
};

/// One of the runs of a command.
struct RunPlan {
  std::uint64_t seed = 0;
  std::string config_toml;                  // kept in the run folder
  IfRunExists start = IfRunExists::refuse;  // resume: from the state in the folder
};

/// Trains and writes <output_dir>/seed<seed>: after every epoch a line of metrics.jsonl, checkpoints/best
/// where it was the best so far (test accuracy; of encoders the lowest training loss), checkpoints/last and
/// its state, checkpoints/final at the end, and for encoders a linear classifier.
///
/// Returns   the exit code: 0, or that of a stop on request after saving
/// Throws    NonFiniteLoss naming the step (the last good checkpoint is kept); Error, DataError, UsageError
/// Notes     Called by all processes; rank 0 alone evaluates and writes. May be called by several threads at
///           once (with `concurrent` each line of output begins with the seed).
int train(const TrainingOptions& options,
          const RunPlan& plan,
          const TrainingData& data,
          Communicator& across,
          Device device);

}  // namespace clx::app
