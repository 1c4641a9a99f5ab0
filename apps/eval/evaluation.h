// One evaluation of a model's explanations.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/eval/scores.h"
#include "apps/eval/stability.h"
#include "apps/support/explaining.h"
#include "apps/support/workload.h"
#include "xai/metrics/pixel_flipping.h"

namespace clx::app {

struct EvaluationOptions {
  std::filesystem::path output_dir = "evaluation";
  bool quiet = false, overwrite = false, save_maps = false;
  std::vector<std::string> metrics = {"pixel-flipping", "continuity", "contrastivity",
                                      "complexity",     "sparseness", "coherence"};
  std::string protocol = "paper";
  std::vector<std::string> controls = {"random", "inverted"};  // or none
  Population filter = Population::all, coherence_filter = Population::all;
  xai::PixelFlippingOptions pixel_flipping;
  std::string pf_class = "target";    // true, predicted or target: the class explained
  std::string pf_auc = "without-p0";  // or with-p0
  StabilityOptions stability;
  std::string zero_coherence = "skip";      // or spike
  std::string coherence_target = "target";  // or true
  bool coherence_aug_smooth = false;
  std::filesystem::path maps;  // of another tool, to be scored instead of our own
  ModelOptions model;
  DataOptions data{.limit = 200};
  ExplainOptions explain;
  ComputeOptions compute;
  std::string config_toml;
  Options::Values flags;  // what decides the results
};

/// Scores the explanations of the test images and writes {pf,continuity,contrastivity,complexity,sparseness}
/// _scores.csv, {GradCAM,EigenCAM}_{AL,PG}_scores.csv, pf_curves.npz, summary.json, summary.md, config.toml
/// and, if asked, maps.npz into output_dir; prints a table. What cannot be measured (coherence without masks,
/// continuity of given maps) is skipped, and said to be. Returns the exit code.
/// Throws    Error, DataError, UsageError; nothing is written then
int evaluate(const EvaluationOptions& options);

}  // namespace clx::app
