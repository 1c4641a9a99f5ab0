#include "apps/support/explaining.h"

#include <algorithm>
#include <numeric>

#include "apps/support/exit_code.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/softmax.h"
#include "xai/explain/cam.h"
#include "xai/explain/grad_cam.h"

namespace clx::app {
namespace {

std::vector<std::int32_t> targets_of(const ExplainOptions& options,
                                     const std::vector<std::int32_t>& labels,
                                     const std::vector<std::int32_t>& predicted,
                                     std::int64_t classes) {
  if (options.target == "predicted") return predicted;
  if (options.target == "true") return labels;
  int index = 0;
  try {
    parse_value(options.target, &index);
  } catch (const UsageError&) {
    throw UsageError(concat("target: expected predicted, true or a class index, got '", options.target, "'"));
  }
  if (index < 0 || index >= classes)
    throw UsageError(concat("target: expected a class within 0…", classes - 1, ", got ", index));
  return std::vector<std::int32_t>(labels.size(), index);
}

std::vector<std::int32_t> argmax_rows(const Tensor& scores) {
  const std::vector<float> z = scores.to_host();
  const std::int64_t K = scores.dim(1);
  std::vector<std::int32_t> best;
  for (auto row = z.begin(); row != z.end(); row += K)
    best.push_back(static_cast<std::int32_t>(std::max_element(row, row + K) - row));
  return best;
}

Tensor map_of(const std::string& method,
              const nn::Activations& tapped,
              const std::vector<std::int32_t>& target,
              const Tensor& images,
              std::int64_t first,
              const ExplainOptions& options) {
  const int H = static_cast<int>(images.dim(1)), W = static_cast<int>(images.dim(2));
  if (method == "random") {
    std::vector<std::int64_t> samples(target.size());
    std::iota(samples.begin(), samples.end(), first);
    return xai::random_maps(samples, H, W, options.control_seed);
  }
  if (method == "eigen-cam")
    return xai::finish_maps(xai::eigen_cam(tapped.activation, options.eigen_sign), H, W);
  const Tensor columns =
      Tensor::from_host({static_cast<std::int64_t>(target.size())}, target, images.device());
  const Tensor score = pick(tapped.logits, columns);
  const Tensor gradient = grad(score, {tapped.activation}, {.keep_graph = true})[0];
  return xai::finish_maps(xai::grad_cam(tapped.activation, gradient), H, W);
}

}  // namespace

void add_explain_options(Options& options, ExplainOptions* explain) {
  options.group("Explanation");
  options.add("method", &explain->methods, "explanations to make: grad-cam, eigen-cam, random (the control)")
      .choices({"grad-cam", "eigen-cam", "random"});
  options.add("layer", &explain->layer, "layer whose activations are explained (default: the last block)");
  options.add("target", &explain->target, "class to explain: predicted, true, or an index");
  options.add("eigen-sign", &explain->eigen_sign,
              {{"lapack", xai::EigenSign::lapack},
               {"top-left", xai::EigenSign::top_left},
               {"mean-corr", xai::EigenSign::mean_corr},
               {"max-abs", xai::EigenSign::max_abs}},
              "how Eigen-CAM's sign is chosen; lapack is numpy's");
  options.add("control-seed", &explain->control_seed, "seed of the random maps");
  options.add("batch-size", &explain->batch_size, "images per forward pass; does not change the result")
      .letter('b')
      .range(1, 1 << 16);
}

void check_explainable(const nn::Model& model, const ExplainOptions& options) {
  try {
    if (!options.layer.empty()) model.check_layer(options.layer);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  targets_of(options, {}, {}, model.classes());
}

std::string column_name(const std::string& method) {
  if (method == "grad-cam") return "GradCAM";
  if (method == "eigen-cam") return "EigenCAM";
  return "RandomMap";
}

Explained explain_batch(nn::Model& model,
                        const Tensor& images,
                        const std::vector<std::int32_t>& labels,
                        std::int64_t first,
                        const ExplainOptions& options) {
  const std::string layer = options.layer.empty() ? model.default_layer() : options.layer;
  const nn::Activations tapped = model.forward_with(images, layer);
  Explained result;
  result.predicted = argmax_rows(tapped.logits);
  result.target = targets_of(options, labels, result.predicted, tapped.logits.dim(1));
  for (const std::string& method : options.methods)
    result.maps.push_back(map_of(method, tapped, result.target, images, first, options));
  return result;
}

}  // namespace clx::app
