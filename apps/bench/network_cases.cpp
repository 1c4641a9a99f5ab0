// Whole training steps and inference of networks.
#include <algorithm>
#include <fmt/format.h>
#include <memory>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "nn/models/resnet.h"
#include "nn/optim/sgd.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/step.h"

namespace clx::app {
namespace {

constexpr int kClasses = 10;

struct Network {
  std::string arch;
  int side;  // of the square images
  std::int64_t N;
  nn::Precision precision;
  Device device;

  std::unique_ptr<nn::Model> make(nn::Precision p) const {
    return nn::make_model(arch, {.classes = kClasses}, 0, device, p);
  }
  DType dtype() const { return nn::activation_dtype(precision); }
  Tensor images(nn::Precision p) const {
    return random_tensor({N, side, side, 3}, device, nn::activation_dtype(p), 1);
  }
};

// Forward FLOPs of the convolutions and the head for one image, and of the stem alone, which needs no data
// gradient.
struct Cost {
  double forward = 0, stem = 0, parameters = 0;

  Cost(nn::Model& model, int side) {
    const bool bottlenecks = model.arch() == "resnet50";
    model.visit([&](const nn::Entry& entry) {
      const auto size = static_cast<double>(entry.tensor->size());
      if (entry.role == nn::Role::parameter) parameters += size;
      if (entry.filters) {
        const bool in_layer = entry.name.starts_with("layer");
        const int outputs =
            in_layer ? outputs_in_layer(entry.name, side, bottlenecks) : side >> (bottlenecks ? 1 : 0);
        forward += 2 * size * outputs * outputs;
        if (!in_layer) stem += 2 * size * outputs * outputs;
      } else if (entry.role == nn::Role::parameter && entry.tensor->rank() == 2) {
        forward += 2 * size;
      }
    });
  }

 private:
  // The side of what a convolution of "layer<l>.<block>.<name>" makes: halved by each layer but the first,
  // where bottlenecks do it after their first convolution. A pooling stem quarters it before.
  static int outputs_in_layer(const std::string& name, int side, bool bottlenecks) {
    const int layer = name[5] - '1';
    const bool before_stride = bottlenecks && layer > 0 && name.substr(6).starts_with(".0.conv1");
    return side >> (layer + (bottlenecks ? 2 : 0) - (before_stride ? 1 : 0));
  }
};

// A step on the same images again and again; lr = 0 keeps the numbers as they are.
class Training {
 public:
  explicit Training(const Network& network)
      : n_(network),
        model_(network.make(network.precision)),
        sgd_(model_->parameters(), {.momentum = 0.9f, .weight_decay = 5e-4f}),
        step_(network.device),
        x_(network.images(network.precision)) {
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < n_.N; ++i)
      labels.push_back(static_cast<std::int32_t>(i % kClasses));
    labels_ = Tensor::from_host({n_.N}, labels, n_.device);
    model_->train(true);
    step_.set_learning_rate(0);
  }

  void run() {
    const CrossEntropy ce = cross_entropy(model_->forward(x_), labels_);
    loss_ = ce.loss.detach();
    sgd_.clear_gradients();
    backward(ce.loss);
    sgd_.step(step_);
    step_.advance(static_cast<int>(n_.N), ce.loss, ce.correct);
  }

  // A small step against the gradient lowers the loss by lr·‖∇‖².
  void check() {
    run();
    const double before = loss_.item();
    double squares = 0;
    for (const Tensor& parameter : model_->parameters())
      for (const double g : values(parameter.grad()))
        squares += g * g;
    const double lr = 0.02 * before / squares;
    step_.set_step(0);
    step_.set_learning_rate(static_cast<float>(lr));
    run();
    step_.set_learning_rate(0);
    run();
    const double drop = before - loss_.item(), expected = lr * squares;
    CLX_CHECK(drop > 0.5 * expected && drop < 1.5 * expected, n_.arch,
              ": expected a step to lower the loss of ", before, " by about ", expected, ", got ", drop);
  }

 private:
  Network n_;
  std::unique_ptr<nn::Model> model_;
  nn::Sgd sgd_;
  Step step_;
  Tensor x_, labels_, loss_;
};

Tensor infer(nn::Model& model, const Tensor& x) {
  const NoGrad no_grad;
  return model.forward(x);
}

// The scores are those of each image alone in f32.
void check_inference(const Network& network, const Tensor& logits) {
  const std::vector<double> got = values(logits);
  const auto exact = network.make(nn::Precision::f32);
  const Tensor x = network.images(nn::Precision::f32);
  for (const std::int64_t n : {std::int64_t{0}, network.N - 1}) {
    const std::vector<double> alone = values(infer(*exact, x.slice(n, n + 1)));
    double largest = 0;
    for (const double score : alone)
      largest = std::max(largest, std::abs(score));
    const double tolerance = (network.dtype() == DType::bf16 ? 0.05 : 1e-4) * largest;
    for (int k = 0; k < kClasses; ++k) {
      const double score = got[static_cast<std::size_t>(n * kClasses + k)];
      const double expected = alone[static_cast<std::size_t>(k)];
      CLX_CHECK(std::abs(score - expected) <= tolerance, network.arch, ": expected the score ", expected,
                " for image ", n, " and class ", k, ", got ", score);
    }
  }
}

Workload inference(const Network& network) {
  const std::shared_ptr<nn::Model> model = network.make(network.precision);
  const Tensor x = network.images(network.precision);
  return {[=] { infer(*model, x); }, [=] { check_inference(network, infer(*model, x)); }};
}

Workload training(const Network& network) {
  const auto t = std::make_shared<Training>(network);
  return {[t] { t->run(); }, [t] { t->check(); }};
}

}  // namespace

std::vector<Case> network_cases(Device device) {
  std::vector<Case> cases;
  if (device.kind == DeviceKind::emulated) return cases;
  const bool gpu = device.kind == DeviceKind::cuda;
  for (const nn::Precision precision : {nn::Precision::f32, nn::Precision::bf16})
    for (const std::string arch : {"resnet20", "resnet18-cifar", "resnet50"}) {
      const bool large = arch == "resnet50";
      const Network network{arch, large ? 224 : 32, (gpu ? 512 : 128) / (large ? 4 : 1), precision, device};
      const auto model = nn::make_model(arch, {.classes = kClasses}, std::nullopt, kCpu);
      const Cost cost(*model, network.side);
      const auto N = static_cast<double>(network.N);
      const double pixels =
          N * network.side * network.side * 3 * static_cast<double>(size_of(network.dtype()));
      const std::string size = fmt::format("{}/N{}_{}", concat(device), network.N, name_of(network.dtype()));
      cases.push_back({.name = fmt::format("{}_inference/{}", arch, size),
                       .bound = Bound::arithmetic,
                       .dtype = network.dtype(),
                       .flops = N * cost.forward,
                       .bytes = pixels + 4 * cost.parameters,
                       .images = N,
                       .prepare = [=] { return inference(network); }});
      cases.push_back({.name = fmt::format("{}_training_step/{}", arch, size),
                       .bound = Bound::arithmetic,
                       .dtype = network.dtype(),
                       .flops = N * (3 * cost.forward - cost.stem),
                       .bytes = pixels + 4 * 4 * cost.parameters,  // θ and momentum, read and written
                       .images = N,
                       .prepare = [=] { return training(network); }});
    }
  return cases;
}

}  // namespace clx::app
