#include "apps/support/probing.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/support/table.h"
#include "nn/features.h"
#include "runtime/check.h"
#include "runtime/io/file.h"

namespace clx::app {
namespace {

std::string percent(double share) {
  return fmt::format("{:.2f} %", 100 * share);
}

nlohmann::ordered_json to_json_line(const nn::Confidence& c) {
  return {{"accuracy", c.accuracy},
          {"max_probability", c.max_probability},
          {"true_probability", c.true_probability}};
}

}  // namespace

nlohmann::ordered_json Probing::to_json() const {
  const nn::Probe& probe = fit.probe;
  nlohmann::ordered_json line{{"mode", nn::name_of(probe.mode)}, {"normalized", probe.normalized},
                              {"encoder", probe.encoder},        {"features", features},
                              {"classes", probe.classes()},      {"steps", fit.steps},
                              {"train_loss", fit.loss}};
  if (probe.mode == nn::ProbeMode::converged) {
    line["gradient"] = fit.gradient;
    line["converged"] = fit.converged;
  }
  line["train"] = to_json_line(train);
  line["test"] = to_json_line(test);
  if (knn_accuracy) line["knn"] = {{"k", neighbours}, {"accuracy", *knn_accuracy}};
  line["seconds"] = seconds;
  return line;
}

std::string Probing::table() const {
  const nn::Probe& probe = fit.probe;
  std::string text =
      fmt::format("{} probe on {} {} features: {} steps, training loss {:.4f}\n", nn::name_of(probe.mode),
                  features, probe.normalized ? "normalised" : "raw", fit.steps, fit.loss);
  if (!fit.converged)
    text +=
        fmt::format("not converged: the gradient is {:.1e}; --max-iterations allows more\n", fit.gradient);
  Table table({"", "accuracy", "mean max probability", "mean true-class probability"});
  for (const auto& [name, c] : {std::pair("train", &train), std::pair("test", &test)})
    table.row({name, percent(c->accuracy), cell(c->max_probability), cell(c->true_probability)});
  text += fmt::format("\n{}", table.to_string());
  if (knn_accuracy)
    text += fmt::format("\n{} nearest neighbours: test accuracy {}\n", neighbours, percent(*knn_accuracy));
  return text;
}

Probing probe_encoder(nn::Model& encoder,
                      const data::Dataset& train,
                      const data::Dataset& test,
                      Device device,
                      const ProbingOptions& options) {
  CLX_CHECK(train.class_names.size() == test.class_names.size(), "probe: expected the same classes in ",
            "training and test set, got ", train.class_names.size(), " and ", test.class_names.size());
  const auto start = std::chrono::steady_clock::now();
  const int classes = static_cast<int>(train.class_names.size());
  const Tensor of_train = nn::features_of(encoder, train, device, 256, options.on_bad);
  const Tensor of_test = nn::features_of(encoder, test, device);
  Probing result;
  result.features = static_cast<int>(of_train.dim(1));
  result.fit = nn::fit_probe(of_train, train.labels, classes, options.probe);
  result.fit.probe.encoder = nn::encoder_hash(encoder);
  result.fit.probe.class_names = train.class_names;
  result.train = nn::confidence_of(nn::probe_scores(result.fit.probe, of_train), train.labels);
  result.test = nn::confidence_of(nn::probe_scores(result.fit.probe, of_test), test.labels);
  if (options.knn) {
    result.neighbours = static_cast<int>(std::min<std::int64_t>(options.neighbours.k, train.size()));
    result.knn_accuracy =
        nn::knn_accuracy(of_train, train.labels, of_test, test.labels, classes, options.neighbours);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

void save_probing(const std::filesystem::path& file, const Probing& probing) {
  nn::save_probe(file, probing.fit.probe);
  std::filesystem::path beside = file;
  const std::string line = probing.to_json().dump() + "\n";
  io::write_file(beside.replace_extension(".json"), line.data(), line.size());
}

}  // namespace clx::app
