// One evaluation of a model's explanations.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/support/explaining.h"
#include "apps/support/workload.h"
#include "xai/metrics/pixel_flipping.h"

namespace clx::app {

struct EvaluationOptions {
  std::filesystem::path output_dir = "evaluation";
  bool quiet = false;
  std::vector<std::string> metrics = {"pixel-flipping", "complexity", "sparseness", "coherence"};
  xai::PixelFlippingOptions pixel_flipping;
  std::string pf_class = "predicted";
  bool control = true;
  ModelOptions model;
  DataOptions data{.limit = 200};
  ExplainOptions explain;
  ComputeOptions compute;
  std::string config_toml;
};

/// Scores the explanations of the test images and writes pf_scores.csv, complexity_scores.csv,
/// sparseness_scores.csv, {GradCAM,EigenCAM}_{AL,PG}_scores.csv, pf_curves.npz, summary.json and
/// config.toml into output_dir; prints a table. Coherence is skipped, and said to be, without masks.
/// Returns the exit code. Throws Error, DataError, UsageError.
int evaluate(const EvaluationOptions& options);

}  // namespace clx::app
