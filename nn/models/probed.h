// An encoder whose head is a linear probe.
#pragma once

#include <memory>
#include <optional>

#include "nn/models/model.h"
#include "nn/probe.h"

namespace clx::nn {

/// A classifier: probe_scores of the encoder's features, with history through the normalisation, so that
/// scores can be explained and perturbed like those of any model.
///
///   normalize: as the probe was fitted, unless said otherwise. The published CIFAR-10 evaluation puts a
///   probe of normalised features on raw ones: then the scores less bias are ‖f‖ times as large.
///
/// Throws    Error if the probe is not of the encoder's feature size
/// Notes     The encoder's own head, if any, is not used.
std::unique_ptr<Model> with_probe(std::unique_ptr<Model> encoder,
                                  const Probe& probe,
                                  std::optional<bool> normalize = std::nullopt);

}  // namespace clx::nn
