// Explanation maps of a model's decisions, batch by batch.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "apps/support/options.h"
#include "nn/models/resnet.h"
#include "runtime/graph.h"
#include "xai/explain/cam.h"
#include "xai/explain/eigen_cam.h"

namespace clx::app {

/// Where Grad-CAM's gradient comes from.
enum class CamPath {
  automatic,  // closed where that is exact
  autograd,
  closed,
};

/// How to explain.
struct ExplainOptions {
  std::vector<std::string> methods = {"grad-cam", "eigen-cam"};
  std::string layer{};               // empty: the model's last block
  std::string target = "predicted";  // predicted, true or a class index
  CamPath cam = CamPath::automatic;
  bool aug_smooth = false;
  xai::EigenSign eigen_sign = xai::EigenSign::mean_corr;
  std::uint64_t control_seed = 0;  // of the random maps
  int batch_size = 64;
  GraphMode graph = GraphMode::off;  // of forward passes and maps, where they need no host
};

/// Declares --method, --layer, --target, --cam, --aug-smooth, --eigen-sign, --batch-size, --control-seed.
void add_explain_options(Options& options, ExplainOptions* explain);

/// The name a method has in file names and columns: "GradCAM", "EigenCAM", "RandomMap".
std::string column_name(const std::string& method);

/// The most likely class of each row of scores (N,K); the lowest of equals.
std::vector<std::int32_t> argmax_rows(const Tensor& scores);

/// The ids first, first + 1, … of `count` samples.
std::vector<std::int64_t> sample_ids(std::int64_t first, std::int64_t count);

/// What one method says about N images, on their device.
struct MethodMaps {
  Tensor maps;                        // (N,H,W) f32, finished
  Tensor raw;                         // (N,h,w) f32, signed, before finishing; undefined for random maps
  std::vector<std::uint8_t> opposed;  // xai::opposes_activation of raw; empty for random maps
};

/// What explain says about N images.
struct Explained {
  nn::Activations seen;
  std::vector<std::int32_t> predicted, target;
  std::vector<MethodMaps> methods;  // as in the options
};

/// Explains one model's scores. Captured are forward passes, if no gradient goes back through them
/// (closed()), and maps: Grad-CAM's where it is closed, Eigen-CAM's unless LAPACK decides on its sign.
class Explainer {
 public:
  /// Throws    UsageError if the model has no such layer (it lists them), the target is not one of its
  ///           classes, or closed forms are asked for a layer that has none. Keeps a reference to the model.
  Explainer(nn::Model& model, const ExplainOptions& options);
  Explainer(const Explainer&) = delete;
  Explainer& operator=(const Explainer&) = delete;

  const std::string& layer() const { return layer_; }
  /// Whether Grad-CAM comes from the closed form.
  bool closed() const { return closed_; }

  /// Explains the scores of normalised images (N,H,W,C) that are samples first, first + 1, … of the data set.
  /// Notes     With aug_smooth, raw and opposed are those of the image as it is.
  Explained explain(const Tensor& images, const std::vector<std::int32_t>& labels, std::int64_t first) const;

  /// The classes that the target means.
  std::vector<std::int32_t> targets(const std::vector<std::int32_t>& labels,
                                    const std::vector<std::int32_t>& predicted) const;

  /// The scores and the explained layer's activations.
  nn::Activations see(const Tensor& images) const;

  /// How many of its works are replayed: at most the forward pass, the layer's activity and each method's
  /// maps.
  std::size_t captured() const;

  /// Finished maps (N,H,W) of grad-cam and eigen-cam for given classes of `images`, of which `seen` is what
  /// see() says; with `smooth` their means over the six views of xai::aug_smooth. One tensor per method.
  std::vector<Tensor> maps(const std::vector<std::string>& methods,
                           const Tensor& images,
                           const nn::Activations& seen,
                           const std::vector<std::int32_t>& classes,
                           bool smooth) const;

 private:
  struct Maps {
    Tensor raw, finished;
  };
  // Of grad-cam or eigen-cam.
  Maps cam(const std::string& method,
           const Tensor& images,
           const nn::Activations& seen,
           const std::vector<std::int32_t>& classes) const;
  Maps cam_by_gradient(const Tensor& images, const nn::Activations& seen, const Tensor& classes) const;
  Replayed& captured_cam(const std::string& method, int height, int width) const;

  nn::Model& model_;
  ExplainOptions options_;
  std::string layer_;
  bool closed_ = false;
  int index_ = -1;  // the target, if it is one class
  // The same work batch after batch; what they hold changes no result.
  mutable Replayed see_, activity_;
  mutable std::map<std::tuple<std::string, int, int>, Replayed> cams_;  // of a method and a size of maps
};

}  // namespace clx::app
