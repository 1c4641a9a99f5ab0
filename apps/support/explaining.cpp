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

Device device_of(nn::Model& model) {
  return model.parameters().at(0).device();
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
      index_(class_index(options.target, model.classes())),
      see_(device_of(model),
           options.graph,
           [this](const std::vector<Tensor>& images) {
             const nn::Activations seen = model_.forward_with(images[0], layer_);
             return std::vector{seen.logits.detach(), seen.activation.detach()};
           }),
      activity_(device_of(model), options.graph, [](const std::vector<Tensor>& activation) {
        return std::vector{xai::activity(activation[0])};
      }) {
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

nn::Activations Explainer::see(const Tensor& images) const {
  if (!closed_) return model_.forward_with(images, layer_);  // with its history
  const std::vector<Tensor> seen = see_.keep({images});
  return {seen[0], seen[1]};
}

std::size_t Explainer::captured() const {
  return static_cast<std::size_t>(see_.captured()) + activity_.captured() +
         static_cast<std::size_t>(
             std::ranges::count_if(cams_, [](const auto& cam) { return cam.second.captured(); }));
}

Replayed& Explainer::captured_cam(const std::string& method, int height, int width) const {
  const auto work = [this, method, height, width](const std::vector<Tensor>& in) {
    xai::CamMaps cam;
    if (method == "eigen-cam") {
      cam = finish_cam(xai::eigen_cam(in[0], options_.eigen_sign), height, width);
    } else {
      const nn::LinearHead head = *model_.linear_head();
      cam = xai::grad_cam_linear_head(in[0], {head.weight, head.normalized}, in[1], height, width);
    }
    return std::vector{cam.raw, cam.maps};
  };
  const bool on_host = method == "eigen-cam" && options_.eigen_sign == xai::EigenSign::lapack;
  return cams_
      .try_emplace({method, height, width}, device_of(model_), on_host ? GraphMode::off : options_.graph,
                   work)
      .first->second;
}

Explainer::Maps Explainer::cam_by_gradient(const Tensor& images,
                                           const nn::Activations& seen,
                                           const Tensor& classes) const {
  const Tensor gradient = grad(pick(seen.logits, classes), {seen.activation}, {.keep_graph = true})[0];
  const xai::CamMaps cam = xai::grad_cam(seen.activation, gradient, height(images), width(images));
  return {cam.raw, cam.maps};
}

Explainer::Maps Explainer::cam(const std::string& method,
                               const Tensor& images,
                               const nn::Activations& seen,
                               const std::vector<std::int32_t>& classes) const {
  std::vector<Tensor> inputs{seen.activation};
  if (method == "grad-cam") {
    inputs.push_back(Tensor::from_host({images.dim(0)}, classes, seen.logits.device()));
    if (!closed_) return cam_by_gradient(images, seen, inputs[1]);
  }
  const std::vector<Tensor> cam = captured_cam(method, height(images), width(images)).keep(inputs);
  return {cam[0], cam[1]};
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
    finished.push_back(cam(method, images, seen, classes).finished);
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
  Tensor activity;  // of the layer
  for (const std::string& method : options_.methods) {
    MethodMaps& m = result.methods.emplace_back();
    if (method == "random") {
      m.maps = xai::random_maps(sample_ids(first, images.dim(0)), height(images), width(images),
                                options_.control_seed)
                   .to(images.device());
      continue;
    }
    cams.push_back(method);
    const Maps maps = cam(method, images, result.seen, result.target);
    if (!activity.defined()) activity = activity_.keep({result.seen.activation})[0];
    m.raw = maps.raw;
    m.opposed = xai::opposes_activity(m.raw, activity);
    if (!options_.aug_smooth) m.maps = maps.finished;
  }
  if (!options_.aug_smooth || cams.empty()) return result;
  const std::vector<Tensor> smooth = maps(cams, images, result.seen, result.target, true);
  auto next = smooth.begin();
  for (MethodMaps& m : result.methods)
    if (!m.maps.defined()) m.maps = *next++;
  return result;
}

}  // namespace clx::app
