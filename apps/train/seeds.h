// Several runs of one configuration: what is to be done, and what came out.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/support/options.h"
#include "apps/train/training.h"

namespace clx::app {

/// The runs of a command that are not finished yet, and how each starts. Says on stdout which are finished.
/// Throws    UsageError if a run was started with other options; DataError if one cannot be resumed; Error if
///           there is none to resume
std::vector<RunPlan> plan_runs(const Options& options, TrainingOptions* training);

/// Trains the runs one after the other. Returns ok, or what the first that was stopped returned.
/// Throws    what a run throws; the ones after it are not begun
int train_in_turn(const TrainingOptions& options,
                  const std::vector<RunPlan>& plans,
                  const TrainingData& data,
                  Communicator& across,
                  Device device);

/// Trains all runs at once, a thread for each, which has a lane of the device and a share of the CPU threads.
/// Each ends with the bits that it has alone. One that fails says so on stderr and the others go on.
/// Returns   the exit code of the first run (in their order) that failed, else that of a stop, else ok
int train_at_once(const TrainingOptions& options,
                  const std::vector<RunPlan>& plans,
                  const TrainingData& data,
                  Device device);

/// The config.toml whose values are the defaults of a run that is resumed: that of the seed, or, where no
/// seed is named, of the folder's only one. Empty if there is none.
std::filesystem::path config_to_resume(const TrainingOptions& options, bool seed_given);

/// Mean and sample standard deviation over the runs of what they ended with, written to
/// <output_dir>/summary.json. Returns them for people, in one line.
/// Throws    DataError if a run's results cannot be read
std::string summarise(const TrainingOptions& options, const std::vector<std::uint64_t>& seeds);

}  // namespace clx::app
