#include "apps/support/explaining.h"

#include <algorithm>
#include <numeric>

#include "apps/support/exit_code.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/softmax.h"
#include "xai/explain/aug_smooth.h"
#include "xai/explain/cam.h"
#include "xai/explain/controls.h"
#include "xai/explain/grad_cam.h"
#include "xai/explain/map_flags.h"

namespace clx::app {
namespace {

// The class that the text names, or −1 if it is predicted or true.
int class_index(const std::string& target, int classes) {
  if (target == "predicted" || target == "true") return -1;
  int index = 0;
  try {
    parse_value(target, &index);
  } catch (const UsageError&) {
    throw UsageError(concat("target: expected predicted, true or a class index, got '", target, "'"));
  }
  if (index < 0 || index >= classes)
    throw UsageError(concat("target: expected a class within 0…", classes - 1, ", got ", index));
  return index;
}

void check_layer(const nn::Model& model, const std::string& layer) {
  try {
    model.check_layer(layer);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

// "layer3.2", or "layer3" for short.
bool is_last_block(const nn::Model& model, const std::string& layer) {
  const std::string last = model.default_layer();
  return layer == last || layer == last.substr(0, last.find('.'));
}

int height(const Tensor& images) {
  return static_cast<int>(images.dim(1));
}
int width(const Tensor& images) {
  return static_cast<int>(images.dim(2));
}

}  // namespace

void add_explain_options(Options& options, ExplainOptions* explain) {
  options.group("Explanation");
  options.add("method", &explain->methods, "explanations to make: grad-cam, eigen-cam, random (the control)")
      .choices({"grad-cam", "eigen-cam", "random"});
  options.add("layer", &explain->layer, "layer whose activations are explained (default: the last block)");
  options.add("target", &explain->target, "class to explain: predicted, true, or an index");
  options.add("cam", &explain->cam,
              {{"auto", CamPath::automatic}, {"autograd", CamPath::autograd}, {"closed", CamPath::closed}},
              "Grad-CAM's gradient: by autograd, from the closed form of pooling and a linear head, or auto: "
              "closed where that is exact");
  options.add("aug-smooth", &explain->aug_smooth,
              "average the maps of six views: mirrored or not, times 0.9, 1, 1.1");
  options.add("eigen-sign", &explain->eigen_sign,
              {{"lapack", xai::EigenSign::lapack},
               {"top-left", xai::EigenSign::top_left},
               {"mean-corr", xai::EigenSign::mean_corr},
               {"max-abs", xai::EigenSign::max_abs}},
              "how Eigen-CAM's sign is chosen: as numpy does, top left negative, along the mean activation, "
              "or the largest value positive");
  options.add("control-seed", &explain->control_seed, "seed of the random maps");
  options.add("batch-size", &explain->batch_size, "images per forward pass; does not change the result")
      .letter('b')
      .range(1, 1 << 16);
}

std::string column_name(const std::string& method) {
  if (method == "grad-cam") return "GradCAM";
  if (method == "eigen-cam") return "EigenCAM";
  return "RandomMap";
}

std::vector<std::int32_t> argmax_rows(const Tensor& scores) {
  const std::vector<float> z = scores.to_host();
  const std::int64_t K = scores.dim(1);
  std::vector<std::int32_t> best;
  for (auto row = z.begin(); row != z.end(); row += K)
    best.push_back(static_cast<std::int32_t>(std::max_element(row, row + K) - row));
  return best;
}

std::vector<std::int64_t> sample_ids(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

Explainer::Explainer(nn::Model& model, const ExplainOptions& options)
    : model_(model),
      options_(options),
      layer_(options.layer.empty() ? model.default_layer() : options.layer),
      index_(class_index(options.target, model.classes())) {
  check_layer(model, layer_);
  const bool exact = is_last_block(model, layer_) && model.linear_head();
  if (options.cam == CamPath::closed && !exact)
    throw UsageError(concat("cam: expected a layer that only pooling and a linear head follow (",
                            model.default_layer(), ") for closed forms, got ", layer_,
                            "; --cam autograd explains any layer"));
  closed_ = exact && options.cam != CamPath::autograd;
}

std::vector<std::int32_t> Explainer::targets(const std::vector<std::int32_t>& labels,
                                             const std::vector<std::int32_t>& predicted) const {
  if (options_.target == "predicted") return predicted;
  if (options_.target == "true") return labels;
  return std::vector<std::int32_t>(labels.size(), index_);
}

xai::CamMaps Explainer::cam(const std::string& method,
                            const Tensor& images,
                            const nn::Activations& seen,
                            const std::vector<std::int32_t>& classes) const {
  const int H = height(images), W = width(images);
  if (method == "eigen-cam") return finish_cam(xai::eigen_cam(seen.activation, options_.eigen_sign), H, W);
  if (closed_) {
    const nn::LinearHead head = *model_.linear_head();
    return xai::grad_cam_linear_head(seen.activation, {head.weight, head.normalized}, classes, H, W);
  }
  const Tensor columns =
      Tensor::from_host({static_cast<std::int64_t>(classes.size())}, classes, seen.logits.device());
  const Tensor gradient = grad(pick(seen.logits, columns), {seen.activation}, {.keep_graph = true})[0];
  return xai::grad_cam(seen.activation, gradient, H, W);
}

std::vector<Tensor> Explainer::maps(const std::vector<std::string>& methods,
                                    const Tensor& images,
                                    const nn::Activations& seen,
                                    const std::vector<std::int32_t>& classes,
                                    bool smooth) const {
  if (smooth)
    return xai::aug_smooth(
        images, [&](const Tensor& view) { return maps(methods, view, see(view), classes, false); });
  std::vector<Tensor> finished;
  for (const std::string& method : methods)
    finished.push_back(cam(method, images, seen, classes).maps);
  return finished;
}

Explained Explainer::explain(const Tensor& images,
                             const std::vector<std::int32_t>& labels,
                             std::int64_t first) const {
  Explained result;
  result.seen = see(images);
  result.predicted = argmax_rows(result.seen.logits);
  result.target = targets(labels, result.predicted);
  std::vector<std::string> cams;
  for (const std::string& method : options_.methods) {
    MethodMaps& m = result.methods.emplace_back();
    if (method == "random") {
      m.maps = xai::random_maps(sample_ids(first, images.dim(0)), height(images), width(images),
                                options_.control_seed)
                   .to(images.device());
      continue;
    }
    cams.push_back(method);
    const xai::CamMaps maps = cam(method, images, result.seen, result.target);
    m.raw = maps.raw;
    m.opposed = xai::opposes_activation(m.raw, result.seen.activation);
    if (!options_.aug_smooth) m.maps = maps.maps;
  }
  if (!options_.aug_smooth || cams.empty()) return result;
  const std::vector<Tensor> smooth = maps(cams, images, result.seen, result.target, true);
  auto next = smooth.begin();
  for (MethodMaps& m : result.methods)
    if (!m.maps.defined()) m.maps = *next++;
  return result;
}

}  // namespace clx::app
