#include "nn/models/probed.h"

#include <utility>

#include "nn/modules/linear.h"
#include "runtime/check.h"
#include "runtime/ops/l2_normalize.h"

namespace clx::nn {
namespace {

Device device_of(Model& model) {
  return model.parameters().at(0).device();
}

class Probed final : public Model {
 public:
  Probed(std::unique_ptr<Model> encoder, const Probe& probe, bool normalize)
      : encoder_(std::move(encoder)),
        fc_(probe.weight.to(device_of(*encoder_)).clone(), probe.bias.to(device_of(*encoder_)).clone()),
        mode_(probe.mode),
        normalize_(normalize) {
    set_trained_on(encoder_->trained_on());
  }

  Tensor features(const Tensor& x) override { return encoder_->features(x); }
  Tensor head(const Tensor& features) override { return fc_(normalize_ ? l2_normalize(features) : features); }
  Tensor projection(const Tensor& features) override { return encoder_->projection(features); }
  Head head_kind() const override { return Head::classifier; }
  std::optional<LinearHead> linear_head() const override { return LinearHead{fc_.weight(), normalize_}; }
  TappedFeatures features_with(const Tensor& x, const std::string& layer) override {
    return encoder_->features_with(x, layer);
  }
  void check_layer(const std::string& layer) const override { encoder_->check_layer(layer); }
  std::vector<std::string> layers() const override { return encoder_->layers(); }
  std::string arch() const override { return encoder_->arch(); }
  std::string description() const override {
    return concat(encoder_->description(), ", ", name_of(mode_), " probe on ",
                  normalize_ ? "normalised" : "raw", " features");
  }
  int classes() const override { return static_cast<int>(fc_.weight().dim(0)); }
  int feature_size() const override { return encoder_->feature_size(); }
  Precision precision() const override { return encoder_->precision(); }

 private:
  void each_child(const ChildVisitor& visitor) override {
    visitor("encoder", *encoder_);
    visitor("fc", fc_);
  }

  std::unique_ptr<Model> encoder_;
  Linear fc_;
  ProbeMode mode_;
  bool normalize_;
};

}  // namespace

std::unique_ptr<Model> with_probe(std::unique_ptr<Model> encoder,
                                  const Probe& probe,
                                  std::optional<bool> normalize) {
  CLX_CHECK(probe.weight.rank() == 2 && probe.weight.dim(1) == encoder->feature_size(),
            "probe: expected weights for ", encoder->feature_size(), " features, got shape ",
            probe.weight.shape());
  return std::make_unique<Probed>(std::move(encoder), probe, normalize.value_or(probe.normalized));
}

}  // namespace clx::nn
