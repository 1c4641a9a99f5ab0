// What programs see of a classifier.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/data/dataset.h"
#include "nn/module.h"
#include "nn/precision.h"

namespace clx::nn {

/// What forward_with returns.
struct Activations {
  Tensor logits;      // (N,K) f32
  Tensor activation;  // (N,h,w,C), the output of the layer asked for
};

/// The same before the head.
struct TappedFeatures {
  Tensor features;    // (N,D) f32
  Tensor activation;  // (N,h,w,C)
};

/// A classifier of the form scores = weight·f + bias, or weight·(f/‖f‖) + bias, of the features f.
struct LinearHead {
  Tensor weight;            // (K,D) f32
  bool normalized = false;  // sees features of length 1
};

/// What follows the features: class scores, or the projection that contrastive losses see. Models of the
/// second kind have no classes until a probe (nn/probe.h) gives them some.
enum class Head { classifier, projection };

/// An image classifier: blocks, global average pooling, a head. It knows by what images it was trained,
/// because it takes images normalised the same way.
class Model : public Module {
 public:
  /// Class scores.
  /// Shapes    (N,H,W,3) in input_dtype() → (N,K) f32
  /// Throws    Error if the images are of another form or type, or the model has no classifier
  Tensor forward(const Tensor& x) override { return head(features(x)); }

  /// What the head sees: the last block's output averaged over the image.
  /// Shapes    (N,H,W,3) → (N,D) f32
  virtual Tensor features(const Tensor& x) = 0;

  /// Class scores of features. Throws Error if the model has no classifier.
  virtual Tensor head(const Tensor& features) = 0;

  /// What contrastive losses see of features, not normalised.
  /// Shapes    (N,D) f32 → (N,P) f32
  /// Throws    Error if the model has no projection head
  virtual Tensor projection(const Tensor& features) = 0;

  virtual Head head_kind() const = 0;

  /// The classifier, if it is linear and its features are the last block's output averaged over the image:
  /// then gradients of the scores have closed forms.
  virtual std::optional<LinearHead> linear_head() const = 0;

  /// The scores and what block `layer` ("layer3.2"; "layer3" is the last of its blocks) gave, so that
  /// grad(score, {activation}) is what Grad-CAM needs.
  /// Throws    Error listing the layers if there is no such layer
  /// Notes     History begins at the activation: gradients do not reach the layers before it.
  Activations forward_with(const Tensor& x, const std::string& layer) {
    const TappedFeatures tapped = features_with(x, layer);
    return {head(tapped.features), tapped.activation};
  }

  /// forward_with without the head.
  virtual TappedFeatures features_with(const Tensor& x, const std::string& layer) = 0;

  /// Throws    Error listing the layers, with a suggestion, if forward_with knows no such layer
  virtual void check_layer(const std::string& layer) const = 0;

  /// The names of all blocks, first to last.
  virtual std::vector<std::string> layers() const = 0;
  /// The last block: what CAMs explain unless told otherwise.
  std::string default_layer() const { return layers().back(); }

  /// "resnet20", as make_model takes it.
  virtual std::string arch() const = 0;
  /// The same with what differs from the defaults: "resnet20, 100 classes, width 0.25".
  virtual std::string description() const = 0;
  /// 0 if the model has no classifier.
  virtual int classes() const = 0;
  /// D of the features.
  virtual int feature_size() const = 0;
  virtual Precision precision() const = 0;
  DType input_dtype() const { return activation_dtype(precision()); }

  const data::DatasetInfo& trained_on() const { return trained_on_; }
  void set_trained_on(data::DatasetInfo info) { trained_on_ = std::move(info); }

 private:
  data::DatasetInfo trained_on_;
};

}  // namespace clx::nn
