// Linear probes and nearest neighbours of an encoder, as clx-probe and clx-train make them.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "nn/data/dataset.h"
#include "nn/data/image_source.h"
#include "nn/knn.h"
#include "nn/probe.h"

namespace clx::app {

struct ProbingOptions {
  nn::ProbeOptions probe;
  bool knn = false;
  nn::KnnOptions neighbours;
  data::OnBadImage on_bad = data::OnBadImage::fail;  // of training images
};

/// What probing found.
struct Probing {
  nn::ProbeFit fit;
  nn::Confidence train, test;
  std::optional<double> knn_accuracy;
  int features = 0;
  int neighbours = 0;
  double seconds = 0;  // for features, fit and neighbours

  nlohmann::ordered_json to_json() const;
  /// For people.
  std::string table() const;
};

/// Fits a linear classifier to the encoder's features of all training images, without augmentation, and
/// measures it on both sets. The model itself is not changed.
/// Throws    Error if the sets do not fit together
Probing probe_encoder(nn::Model& encoder,
                      const data::Dataset& train,
                      const data::Dataset& test,
                      Device device,
                      const ProbingOptions& options);

/// Writes the probe to `file`, and what was found as one line of JSON beside it, as <file's stem>.json.
/// Throws Error if one cannot be written.
void save_probing(const std::filesystem::path& file, const Probing& probing);

}  // namespace clx::app
