// The model that a program works on, and where it computes, as its options name them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/support/data_options.h"
#include "apps/support/options.h"
#include "nn/data/dataset.h"
#include "nn/models/resnet.h"
#include "runtime/graph.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/linear.h"

namespace clx::app {

/// Where the computation runs and how exactly.
struct ComputeOptions {
  std::string device = "auto";
  nn::Precision precision = nn::Precision::f32;
  int threads = 0;  // 0: all cores
  Conv2dAlgorithm conv = Conv2dAlgorithm::automatic;
  MatmulAlgorithm matmul = MatmulAlgorithm::automatic;
};

/// Declares --device, --precision, --threads, --conv, --matmul in the group "Computation".
void add_compute_options(Options& options, ComputeOptions* compute);

/// Declares --conv and --matmul in the current group, as add_compute_options does.
void add_algorithm_options(Options& options, ComputeOptions* compute);

/// Declares --graph in the current group; `what` is captured.
void add_graph_option(Options& options, GraphMode* graph, const std::string& what);

/// Sets the number of threads and the algorithms and returns the device; says on stderr when it is the (slow)
/// emulator.
/// Throws    UsageError if there is no such device, it has no such algorithm, or the algorithm's library is
///           missing
Device start_compute(const ComputeOptions& compute);

/// "cpu, 2 threads, AMD EPYC".
std::string describe(Device device);

/// Which network to train.
struct ArchitectureOptions {
  std::string arch = "resnet20";
  double width = 1;
  nn::Shortcut shortcut = nn::Shortcut::subsample;
  nn::Head head = nn::Head::classifier;
  int projection = 128;  // outputs of a projection head
};

/// Declares --arch, --width and --shortcut in the current group.
void add_architecture_options(Options& options, ArchitectureOptions* architecture);

/// Fresh weights for the classes of `set`. Throws UsageError if the architecture is unknown (with a
/// suggestion).
std::unique_ptr<nn::Model> make_model(const ArchitectureOptions& architecture,
                                      const data::Dataset& set,
                                      std::uint64_t seed,
                                      Device device,
                                      nn::Precision precision);

/// Which trained model.
struct ModelOptions {
  std::filesystem::path run;         // a run folder of clx-train
  std::filesystem::path checkpoint;  // or a safetensors file
  // What a file of third parties does not say; ignored where the file says it:
  ArchitectureOptions architecture{.arch = ""};
  std::vector<float> mean, std;  // of pixels in [0,1]; default: the data set's
  // For encoders, and in the place of a classifier's own head:
  std::filesystem::path probe{};       // default, for encoders only: linear_classifier beside the checkpoint
  std::string probe_input = "fitted";  // fitted, normalized, raw or reference
};

/// Declares --run, --checkpoint, --arch, … in the group "Model".
void add_encoder_options(Options& options, ModelOptions* model);
/// The same with --probe and --probe-input.
void add_model_options(Options& options, ModelOptions* model);

/// Makes the data options of the run that --run names the defaults here, so that a model is explained on
/// the data it was trained on.
void inherit_data_of_run(Options& options);

/// The checkpoint that the options name: of a run checkpoints/final, else best, else last.
/// Throws    UsageError if neither a run nor a checkpoint is named; DataError if the run has none
std::filesystem::path checkpoint_file(const ModelOptions& options);

/// The file that holds the probe of the checkpoints in `folder`.
std::filesystem::path probe_file(const std::filesystem::path& folder);

/// The checkpoint's model as it is, in evaluation mode on `device`: for whom classes do not matter.
/// Throws    DataError if the file is missing, damaged or of another architecture; UsageError if neither
///           a run nor a checkpoint is named or the architecture is unknown
std::unique_ptr<nn::Model> load_encoder(const ModelOptions& options,
                                        const data::Dataset& set,
                                        Device device,
                                        nn::Precision precision);

/// The classifier in evaluation mode on `device`: the checkpoint's, or an encoder and its probe.
/// Throws    as load_encoder; DataError if the model has other classes than the set, an encoder has no probe
/// or
///           the probe was fitted to another encoder
std::unique_ptr<nn::Model> load_model(const ModelOptions& options,
                                      const data::Dataset& set,
                                      Device device,
                                      nn::Precision precision);

/// The share of correctly classified images. In evaluation mode, without history.
double accuracy(nn::Model& model, const data::Dataset& set, Device device);

}  // namespace clx::app
