// What a report says of models: means over seeds, and differences on the same images.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/report/evaluations.h"

namespace clx::app {

/// A metric of a model: mean and standard deviation (n − 1) over its seeds.
struct SeedStatistics {
  double mean = 0, std = 0;  // NaN where no seed has the metric; std 0 of one seed
  int seeds = 0;
};

SeedStatistics over_seeds(const Model& model, const ColumnKey& key);

/// b − a on the images that both score in every seed, each image's score being its mean over seeds.
struct PairedDifference {
  double mean = 0, half_width = 0;  // of the 95 % interval, 1.96 standard errors
  std::int64_t n = 0;
};

PairedDifference paired_difference(const Model& a, const Model& b, const ColumnKey& key);

/// Every column that some model has, in order of first appearance.
std::vector<ColumnKey> all_columns(const std::vector<Model>& models);

}  // namespace clx::app
