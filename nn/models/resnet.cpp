#include "nn/models/resnet.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "nn/modules/linear.h"
#include "nn/modules/projection_head.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/join.h"
#include "runtime/ops/pool.h"
#include "runtime/suggest.h"
#include "runtime/threads.h"

namespace clx::nn {
namespace {

// What distinguishes the architectures.
struct Plan {
  std::string arch;
  std::vector<int> blocks;  // per stage
  int channels;             // of the stem and the first stage's 3×3 convolutions
  bool bottleneck;
  bool small_stem;           // 3×3, stride 1, no pooling
  bool choose_shortcut;      // option A or B
  std::string head, bypass;  // PyTorch names
};

const std::vector<Plan>& plans() {
  static const std::vector<Plan> all = [] {
    std::vector<Plan> list;
    for (const int n : {3, 5, 7, 9})
      list.push_back(
          {"resnet" + std::to_string(6 * n + 2), {n, n, n}, 16, false, true, true, "linear", "shortcut"});
    list.push_back({"resnet18-cifar", {2, 2, 2, 2}, 64, false, true, false, "fc", "downsample"});
    list.push_back({"resnet50", {3, 4, 6, 3}, 64, true, false, false, "fc", "downsample"});
    return list;
  }();
  return all;
}

const Plan& plan_of(const std::string& arch) {
  const auto found = std::ranges::find(plans(), arch, &Plan::arch);
  if (found != plans().end()) return *found;
  std::string known;
  for (const std::string& name : architectures())
    known += (known.empty() ? "" : ", ") + name;
  throw Error(
      concat("arch: expected one of ", known, ", got '", arch, "'", did_you_mean(arch, architectures())));
}

int scaled(int channels, double width) {
  return std::max(4, 4 * static_cast<int>(std::lround(channels * width / 4)));
}

class Resnet final : public Model {
 public:
  Resnet(const Plan& plan, const ResnetOptions& options, Precision precision, Initializer init)
      : plan_(plan),
        options_(options),
        precision_(precision),
        channels_(scaled(plan.channels, options.width)),
        stem_(init,
              plan.small_stem ? Conv2dSize{3, channels_, 3, 1} : Conv2dSize{3, channels_, 7, 2},
              precision),
        features_(add_stages(init)) {
    if (options.head == Head::classifier)
      classifier_.emplace(init, features_, options.classes);
    else
      projection_.emplace(init, features_, options.projection);
  }

  Tensor features(const Tensor& x) override { return global_average_pool(run(x, 0, blocks_.size())); }
  Tensor head(const Tensor& features) override {
    CLX_CHECK(classifier_, plan_.arch, ": expected a classifier, got a projection head; a probe adds one");
    return (*classifier_)(features);
  }
  Tensor projection(const Tensor& features) override {
    CLX_CHECK(projection_, plan_.arch, ": expected a projection head, got a classifier");
    return (*projection_)(features);
  }
  Head head_kind() const override { return options_.head; }
  std::optional<LinearHead> linear_head() const override {
    if (!classifier_) return std::nullopt;
    return LinearHead{classifier_->weight()};
  }

  TappedFeatures features_with(const Tensor& x, const std::string& layer) override {
    const std::size_t end = index_of(layer) + 1;
    Tensor activation;
    {
      const NoGrad no_grad;
      activation = run(x, 0, end).detach();
    }
    activation.require_grad();
    return {global_average_pool(run(activation, end, blocks_.size())), activation};
  }

  void check_layer(const std::string& layer) const override { index_of(layer); }

  std::vector<std::string> layers() const override {
    std::vector<std::string> names;
    for (const NamedBlock& block : blocks_)
      names.push_back(block.name);
    return names;
  }

  std::string arch() const override { return plan_.arch; }
  std::string description() const override {
    std::string text = plan_.arch;
    if (classifier_ && options_.classes != ResnetOptions{}.classes)
      text += concat(", ", options_.classes, " classes");
    if (projection_) text += concat(", projection to ", options_.projection);
    if (options_.width != 1) text += concat(", width ", options_.width);
    if (plan_.choose_shortcut && options_.shortcut != Shortcut::subsample)
      text += ", shortcut " + name_of(options_.shortcut);
    return text;
  }
  int classes() const override { return classifier_ ? options_.classes : 0; }
  int feature_size() const override { return features_; }
  Precision precision() const override { return precision_; }
  const ResnetOptions& options() const { return options_; }

 private:
  struct NamedBlock {
    std::string name;
    std::unique_ptr<Module> block;
  };

  // Returns the channels of the last block's output.
  int add_stages(Initializer& init) {
    int in = channels_;
    for (std::size_t stage = 0; stage < plan_.blocks.size(); ++stage) {
      const int width = channels_ << stage;
      for (int b = 0; b < plan_.blocks[stage]; ++b) {
        const BlockSize size{in, width, b == 0 && stage > 0 ? 2 : 1, shortcut(), plan_.bypass, precision_};
        blocks_.push_back({concat("layer", stage + 1, ".", b),
                           plan_.bottleneck ? make_bottleneck(init, size) : make_basic_block(init, size)});
        in = plan_.bottleneck ? 4 * width : width;
      }
    }
    return in;
  }

  Shortcut shortcut() const { return plan_.choose_shortcut ? options_.shortcut : Shortcut::projection; }

  // Blocks first … end − 1; the stem before block 0.
  Tensor run(const Tensor& x, std::size_t first, std::size_t end) {
    const auto stage = static_cast<std::size_t>(plan_.blocks[0]);
    const std::int64_t slice = first == 0 && end > stage ? images_in_caches(x) : 0;
    if (slice == 0 || slice >= x.dim(0)) return run_at_once(x, first, end);
    std::vector<Tensor> parts;
    for (std::int64_t n = 0; n < x.dim(0); n += slice)
      parts.push_back(run_at_once(x.slice(n, std::min(n + slice, x.dim(0))), 0, stage));
    return run_at_once(join(parts), stage, end);
  }

  Tensor run_at_once(const Tensor& x, std::size_t first, std::size_t end) {
    Tensor y = first == 0 ? stem(x) : x;
    for (std::size_t i = first; i < end; ++i)
      y = blocks_[i].block->forward(y);
    return y;
  }

  // So many images pass the stem and the first stage at once, whose activations are the largest, that a CPU's
  // caches hold them; 0 means all, where activations are kept for gradients or images see each other.
  std::int64_t images_in_caches(const Tensor& x) {
    constexpr std::int64_t kBytesPerThread = 1 << 20;  // of one activation
    if (!x.defined() || x.rank() != 4 || x.device().kind != DeviceKind::cpu || grad_enabled() ||
        stem_.batchnorm().training())
      return 0;
    const std::int64_t image = x.dim(1) * x.dim(2) * channels_ *
                               static_cast<std::int64_t>(size_of(x.dtype())) / (plan_.small_stem ? 1 : 4);
    return threads() * std::max<std::int64_t>(1, kBytesPerThread / std::max<std::int64_t>(1, image));
  }

  Tensor stem(const Tensor& x) {
    CLX_CHECK(x.defined() && x.rank() == 4 && x.dim(3) == 3 && x.dtype() == input_dtype(), plan_.arch,
              ": expected images (N,H,W,3) of ", clx::name_of(input_dtype()), ", got ",
              x.defined() ? concat("shape ", x.shape(), " of ", clx::name_of(x.dtype())) : "none");
    const Tensor y = stem_.with_relu(x);
    return plan_.small_stem ? y : max_pool(y, {.window = 3, .stride = 2, .padding = 1});
  }

  std::size_t index_of(const std::string& layer) const {
    std::string known;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const std::string& name = blocks_[i].name;
      const bool last_of_stage = i + 1 == blocks_.size() || blocks_[i + 1].name.ends_with(".0");
      if (layer == name || (last_of_stage && layer == name.substr(0, name.find('.')))) return i;
      known += (known.empty() ? "" : ", ") + name;
    }
    throw Error(concat("layer: expected one of ", known, " for ", plan_.arch, ", got '", layer, "'",
                       did_you_mean(layer, layers())));
  }

  void each_child(const ChildVisitor& visitor) override {
    visitor("conv1", stem_.conv());
    visitor("bn1", stem_.batchnorm());
    for (const NamedBlock& block : blocks_)
      visitor(block.name, *block.block);
    if (classifier_) visitor(plan_.head, *classifier_);
    if (projection_) visitor("projection", *projection_);
  }

  Plan plan_;
  ResnetOptions options_;
  Precision precision_;
  int channels_;
  NormalizedConv2d stem_;
  std::vector<NamedBlock> blocks_;
  int features_;
  std::optional<Linear> classifier_;  // one of the two is there
  std::optional<ProjectionHead> projection_;
};

}  // namespace

std::vector<std::string> architectures() {
  std::vector<std::string> names;
  for (const Plan& plan : plans())
    names.push_back(plan.arch);
  return names;
}

std::unique_ptr<Model> make_model(const std::string& arch,
                                  const ResnetOptions& options,
                                  std::optional<std::uint64_t> seed,
                                  Device device,
                                  Precision precision) {
  const Plan& plan = plan_of(arch);
  CLX_CHECK(options.head != Head::classifier || options.classes >= 2, arch,
            ": expected at least 2 classes, got ", options.classes);
  CLX_CHECK(options.head != Head::projection || options.projection >= 1, arch,
            ": expected a projection to at least 1 dimension, got ", options.projection);
  CLX_CHECK(options.width > 0 && options.width <= 16, arch, ": expected a width within (0,16], got ",
            options.width);
  auto model = std::make_unique<Resnet>(plan, options, precision, Initializer(seed));
  model->to(device);
  return model;
}

ResnetOptions resnet_options(const Model& model) {
  const auto* resnet = dynamic_cast<const Resnet*>(&model);
  CLX_CHECK(resnet, "resnet_options: expected a residual network, got ", model.arch());
  return resnet->options();
}

std::string name_of(Shortcut shortcut) {
  return shortcut == Shortcut::subsample ? "A" : "B";
}

}  // namespace clx::nn
