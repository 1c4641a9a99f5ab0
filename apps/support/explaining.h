// Explanation maps of a model's decisions, batch by batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/support/options.h"
#include "nn/models/resnet.h"
#include "xai/explain/eigen_cam.h"

namespace clx::app {

/// How to explain.
struct ExplainOptions {
  std::vector<std::string> methods = {"grad-cam", "eigen-cam"};
  std::string layer;                 // empty: the model's last block
  std::string target = "predicted";  // predicted, true or a class index
  xai::EigenSign eigen_sign = xai::EigenSign::lapack;
  std::uint64_t control_seed = 0;  // of the random maps
  int batch_size = 64;
};

/// Declares --method, --layer, --target, --eigen-sign, --batch-size, --control-seed.
void add_explain_options(Options& options, ExplainOptions* explain);

/// The name a method has in file names and columns: "GradCAM", "EigenCAM", "RandomMap".
std::string column_name(const std::string& method);

/// What explain_batch says about N images.
struct Explained {
  std::vector<std::int32_t> predicted, target;
  std::vector<Tensor> maps;  // (N,H,W) f32 on the cpu, one per method
};

/// Refuses at once what explain_batch would refuse later.
/// Throws    UsageError if the model has no such layer (it lists them) or the target is not one of its
/// classes
void check_explainable(const nn::Model& model, const ExplainOptions& options);

/// Explains the model's scores of normalised images (N,H,W,C) that are samples first, first + 1, … of the
/// data set.
/// Throws    Error if the layer does not exist (with a suggestion) or the target is not a class
Explained explain_batch(nn::Model& model,
                        const Tensor& images,
                        const std::vector<std::int32_t>& labels,
                        std::int64_t first,
                        const ExplainOptions& options);

}  // namespace clx::app
