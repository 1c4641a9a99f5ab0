// clx-probe: fits a linear classifier to a trained encoder and says how good its features are.
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/support/output_folder.h"
#include "apps/support/probing.h"
#include "apps/support/program.h"
#include "apps/support/workload.h"

namespace clx::app {
namespace {

struct Settings {
  ModelOptions model;
  DataOptions data;
  ProbingOptions probing;
  ComputeOptions compute;
  std::filesystem::path output;
  bool json = false;
};

void add_probe_options(Options& options, ProbingOptions* probing) {
  nn::ProbeOptions& o = probing->probe;
  options.group("Probe");
  options.add("mode", &o.mode,
              {{"full-batch", nn::ProbeMode::full_batch},
               {"minibatch", nn::ProbeMode::minibatch},
               {"converged", nn::ProbeMode::converged}},
              "full-batch: steps of SGD on all images at once, as the published code does; minibatch: epochs "
              "of SGD, as the paper says; converged: L-BFGS to the minimum");
  options.add("normalize", &o.normalize, "divide each feature vector by its length");
  options.add("epochs", &o.epochs, "steps of full-batch, passes of minibatch").range(0, 1e6);
  options.add("lr", &o.lr, "learning rate of SGD, constant").range(0, 1e3);
  options.add("momentum", &o.momentum, "momentum of SGD").range(0, 1);
  options.add("weight-decay", &o.weight_decay, "L2 penalty on weight and bias").range(0, 1);
  options.add("batch-size", &o.batch_size, "images per step of minibatch").letter('b').range(1, 1 << 24);
  options.add("tolerance", &o.tolerance, "converged: largest component of the gradient").range(0, 1);
  options.add("max-iterations", &o.max_iterations, "converged: at most this many").range(0, 1e6);
  options.add("seed", &o.seed, "seed of initial weights and order");
  options.add("knn", &probing->knn, "also the accuracy of the nearest neighbours (cosine)");
  options.add("k", &probing->neighbours.k, "neighbours, weighted by exp(similarity/0.07)").range(1, 1e6);
}

int main_of_probe(int argc, char** argv) {
  Settings s;
  Options options("clx-probe",
                  "Fits a linear classifier to the features of a trained network, measures it, and writes it "
                  "beside the checkpoint, where clx-explain and clx-eval find it.");
  options.group("Output");
  options.add(
      "output", &s.output,
      "file for the classifier (default: linear_classifier.safetensors beside the checkpoint); what was "
      "found goes to a .json beside it");
  options.add("json", &s.json, "print the line of JSON instead of the table");
  add_probe_options(options, &s.probing);
  add_encoder_options(options, &s.model);
  add_data_options(options, &s.data);
  add_compute_options(options, &s.compute);
  inherit_data_of_run(options);
  if (const auto code = options.parse(argc, argv)) return *code;

  s.probing.on_bad = s.data.on_bad_image;
  const Device device = start_compute(s.compute);
  const std::filesystem::path checkpoint = checkpoint_file(s.model);
  const std::filesystem::path output = s.output.empty() ? probe_file(checkpoint.parent_path()) : s.output;
  const data::Dataset train = load_data(s.data, data::Split::train),
                      test = load_data(s.data, data::Split::test);
  const auto encoder = load_encoder(s.model, train, device, s.compute.precision);
  if (output.has_parent_path()) make_output_folder(output.parent_path());
  const Probing probing = probe_encoder(*encoder, train, test, device, s.probing);
  save_probing(output, probing);
  if (s.json)
    std::cout << probing.to_json().dump() << '\n';
  else
    std::cout << fmt::format("{}, on {} training and {} test images of {}\n", encoder->description(),
                             train.size(), test.size(), train.name)
              << probing.table() << fmt::format("\nclassifier: {}\n", output.string());
  return ok;
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_probe);
}
