#include "apps/support/workload.h"

#include <algorithm>
#include <fmt/format.h>
#include <iostream>
#include <optional>
#include <utility>

#include "apps/support/exit_code.h"
#include "apps/support/run_folder.h"
#include "nn/checkpoint.h"
#include "nn/models/probed.h"
#include "nn/probe.h"
#include "runtime/autograd.h"
#include "runtime/suggest.h"
#include "runtime/threads.h"

namespace clx::app {
namespace {

constexpr std::int64_t kEvaluationBatch = 256;

void check_architecture(const std::string& arch) {
  const std::vector<std::string> known = nn::architectures();
  if (std::ranges::find(known, arch) == known.end())
    throw UsageError(fmt::format("arch: expected one of {}, got '{}'{}", fmt::join(known, ", "), arch,
                                 did_you_mean(arch, known)));
}

// Whether the probe sees features of length 1; nothing if that is as it was fitted.
std::optional<bool> normalizes(const std::string& probe_input, const data::Dataset& set) {
  if (probe_input == "fitted") return std::nullopt;
  if (probe_input == "reference") return set.name != "cifar10" && set.name != "shapes";
  return probe_input == "normalized";
}

}  // namespace

void add_compute_options(Options& options, ComputeOptions* compute) {
  options.group("Computation");
  options.add("device", &compute->device,
              "auto (a GPU if there is one), cpu, cuda, cuda:N, or emulated (slow)");
  options.add("precision", &compute->precision,
              {{"f32", nn::Precision::f32}, {"tf32", nn::Precision::tf32}, {"bf16", nn::Precision::bf16}},
              "activations and convolutions; weights and losses are f32 always");
  options.add("threads", &compute->threads, "CPU threads; 0: all cores").range(0, 4096);
  add_algorithm_options(options, compute);
}

void add_algorithm_options(Options& options, ComputeOptions* compute) {
  options.add("conv", &compute->conv,
              {{"auto", Conv2dAlgorithm::automatic},
               {"direct", Conv2dAlgorithm::direct},
               {"winograd", Conv2dAlgorithm::winograd},
               {"custom", Conv2dAlgorithm::custom},
               {"cudnn", Conv2dAlgorithm::cudnn}},
              "convolutions; on a CPU (3×3, stride 1) direct sums, Winograd's algorithm, or what a fixed "
              "table says is faster; on a GPU our kernels (custom, also what auto is) or cuDNN");
  options.add("matmul", &compute->matmul,
              {{"auto", MatmulAlgorithm::automatic},
               {"custom", MatmulAlgorithm::custom},
               {"cublas", MatmulAlgorithm::cublas}},
              "matrix products on a GPU: our kernels (custom, also what auto is) or cuBLAS");
}

void add_graph_option(Options& options, GraphMode* graph, const std::string& what) {
  options.add(
      "graph", graph, {{"auto", GraphMode::automatic}, {"on", GraphMode::on}, {"off", GraphMode::off}},
      "capture " + what +
          " once and replay it: one launch instead of hundreds; the same bits. auto: on CUDA GPUs. On a "
          "CPU there is nothing to capture");
}

Device start_compute(const ComputeOptions& compute) {
  if (compute.threads > 0) set_threads(compute.threads);
  Device device;
  try {
    device = parse_device(compute.device);
    require_conv2d_algorithm(compute.conv, device);
    require_matmul_algorithm(compute.matmul, device);
  } catch (const std::runtime_error& e) {
    throw UsageError(e.what());
  }
  set_conv2d_algorithm(compute.conv);
  set_matmul_algorithm(compute.matmul);
  if (compute.device == "auto")
    if (const std::string trouble = why_no_gpu(); !trouble.empty())
      std::cerr << "note: " + trouble + "; the CPU computes\n";
  if (device.kind == DeviceKind::emulated)
    std::cerr << "note: the emulator runs CUDA kernels thread by thread; it is thousands of times slower "
                 "than a GPU\n";
  return device;
}

std::string describe(Device device) {
  if (device.kind == DeviceKind::cuda) return concat(device);
  return fmt::format("{}, {} threads, {}", concat(device), threads(), cpu_model());
}

void add_architecture_options(Options& options, ArchitectureOptions* architecture) {
  std::string names;
  for (const std::string& name : nn::architectures())
    names += (names.empty() ? "" : ", ") + name;
  options.add("arch", &architecture->arch, "network: " + names);
  options.add("width", &architecture->width, "factor of all channel counts").range(0.01, 16);
  options.add("shortcut", &architecture->shortcut,
              {{"A", nn::Shortcut::subsample}, {"B", nn::Shortcut::projection}},
              "shortcuts of resnet20/32/44/56: A without parameters, B with 1×1 convolutions");
}

std::unique_ptr<nn::Model> make_model(const ArchitectureOptions& architecture,
                                      const data::Dataset& set,
                                      std::uint64_t seed,
                                      Device device,
                                      nn::Precision precision) {
  check_architecture(architecture.arch);
  auto model = nn::make_model(architecture.arch,
                              {.classes = static_cast<int>(set.class_names.size()),
                               .width = architecture.width,
                               .shortcut = architecture.shortcut,
                               .head = architecture.head,
                               .projection = architecture.projection},
                              seed, device, precision);
  model->set_trained_on(set.info());
  return model;
}

void add_model_options(Options& options, ModelOptions* model) {
  add_encoder_options(options, model);
  options.add("probe", &model->probe,
              "linear classifier of clx-probe in the place of the model's head (default, for encoders: "
              "linear_classifier.safetensors beside the checkpoint)");
  options
      .add("probe-input", &model->probe_input,
           "features that the probe sees: as it was fitted, of length 1, raw, or as in the published "
           "evaluation: raw on cifar10 and shapes, of length 1 elsewhere")
      .choices({"fitted", "normalized", "raw", "reference"});
}

void add_encoder_options(Options& options, ModelOptions* model) {
  options.group("Model");
  options.add("run", &model->run, "run folder of clx-train; its data set becomes the default");
  options.add("checkpoint", &model->checkpoint,
              "safetensors file (default: the run's checkpoints/final, best or last)");
  add_architecture_options(options, &model->architecture);
  options.add("mean", &model->mean,
              "mean of the pixels in [0,1] a third-party file was trained with, per channel");
  options.add("std", &model->std, "their standard deviation");
}

void inherit_data_of_run(Options& options) {
  options.inherit("run", data_option_names(),
                  [](const std::string& run) { return find_run(run) / "config.toml"; });
}

std::filesystem::path checkpoint_file(const ModelOptions& options) {
  if (!options.checkpoint.empty()) return options.checkpoint;
  if (options.run.empty()) throw UsageError("model: expected --run FOLDER or --checkpoint FILE, got neither");
  const std::filesystem::path folder = find_run(options.run) / "checkpoints";
  for (const char* name : {"final.safetensors", "best.safetensors", "last.safetensors"})
    if (std::filesystem::exists(folder / name)) return folder / name;
  throw DataError(concat("reading ", folder.string(), ": expected a checkpoint, got none"));
}

std::filesystem::path probe_file(const std::filesystem::path& folder) {
  return folder / "linear_classifier.safetensors";
}

std::unique_ptr<nn::Model> load_encoder(const ModelOptions& options,
                                        const data::Dataset& set,
                                        Device device,
                                        nn::Precision precision) {
  if (!options.architecture.arch.empty()) check_architecture(options.architecture.arch);
  return nn::load_model(checkpoint_file(options),
                        {.arch = options.architecture.arch,
                         .resnet = {.classes = static_cast<int>(set.class_names.size()),
                                    .width = options.architecture.width,
                                    .shortcut = options.architecture.shortcut},
                         .info = {.name = "", .class_names = {}, .mean = options.mean, .std = options.std},
                         .device = device,
                         .precision = precision});
}

std::unique_ptr<nn::Model> load_model(const ModelOptions& options,
                                      const data::Dataset& set,
                                      Device device,
                                      nn::Precision precision) {
  const std::filesystem::path file = checkpoint_file(options);
  auto model = load_encoder(options, set, device, precision);
  std::filesystem::path probe = options.probe;
  if (probe.empty() && model->head_kind() == nn::Head::projection) {
    probe = probe_file(file.parent_path());
    CLX_CHECK_DATA(std::filesystem::exists(probe), "model: ", file.string(),
                   " is an encoder: expected its classifier in ", probe.string(), ", got none; clx-probe ",
                   options.run.empty() ? "--checkpoint " + file.string() : "--run " + options.run.string(),
                   " makes it, --probe names another file");
  }
  if (!probe.empty()) {
    const nn::Probe classifier = nn::load_probe(probe, *model);
    model = nn::with_probe(std::move(model), classifier, normalizes(options.probe_input, set));
  } else if (options.probe_input == "normalized" || options.probe_input == "raw") {
    throw UsageError(
        "probe-input: expected a probe, got a model with a classifier of its own; --probe names one");
  }
  CLX_CHECK_DATA(model->classes() == static_cast<int>(set.class_names.size()), "model: ", file.string(),
                 " tells ", model->classes(), " classes apart, but ", set.name, " has ",
                 set.class_names.size());
  return model;
}

double accuracy(nn::Model& model, const data::Dataset& set, Device device) {
  const NoGrad no_grad;
  model.train(false);
  Batches batches(set, device, model);
  std::int64_t correct = 0;
  for (std::int64_t begin = 0; begin < set.size(); begin += kEvaluationBatch) {
    const std::int64_t end = std::min(begin + kEvaluationBatch, set.size());
    const std::vector<float> scores = model.forward(batches.images(begin, end)).to_host();
    const auto K = static_cast<std::ptrdiff_t>(scores.size()) / (end - begin);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto row = scores.begin() + (i - begin) * K;
      correct += std::max_element(row, row + K) - row == set.labels[static_cast<std::size_t>(i)];
    }
  }
  return static_cast<double>(correct) / static_cast<double>(set.size());
}

}  // namespace clx::app
