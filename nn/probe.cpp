#include "nn/probe.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/data/loader.h"
#include "nn/initializer.h"
#include "nn/optim/lbfgs.h"
#include "nn/optim/sgd.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/linear.h"
#include "runtime/softmax_regression.h"

namespace clx::nn {
namespace {

Tensor label_tensor(const std::vector<std::int32_t>& labels, Device device) {
  return Tensor::from_host({static_cast<std::int64_t>(labels.size())}, labels, device);
}

// Weight and bias under SGD.
class Descent {
 public:
  Descent(const Tensor& weight, const Tensor& bias, const ProbeOptions& options, Device device)
      : weight_(weight.to(device).clone().require_grad()),
        bias_(bias.to(device).clone().require_grad()),
        sgd_({weight_, bias_}, {.momentum = options.momentum, .weight_decay = options.weight_decay}),
        step_(device) {
    step_.set_learning_rate(options.lr);
  }

  void step(const Tensor& x, const Tensor& labels) {
    const CrossEntropy ce = cross_entropy(linear(x, weight_, bias_), labels);
    sgd_.clear_gradients();
    backward(ce.loss);
    sgd_.step(step_);
    step_.advance(static_cast<int>(x.dim(0)), ce.loss, ce.correct);
    ++steps_;
  }

  int steps() const { return steps_; }
  Tensor weight() const { return weight_.detach().to(kCpu); }
  Tensor bias() const { return bias_.detach().to(kCpu); }

 private:
  Tensor weight_, bias_;
  Sgd sgd_;
  Step step_;
  int steps_ = 0;
};

void take(const Descent& descent, ProbeFit* fit) {
  fit->probe.weight = descent.weight();
  fit->probe.bias = descent.bias();
  fit->steps = descent.steps();
}

void fit_full_batch(const Tensor& x,
                    const std::vector<std::int32_t>& labels,
                    const ProbeOptions& options,
                    ProbeFit* fit) {
  Descent descent(fit->probe.weight, fit->probe.bias, options, x.device());
  const Tensor y = label_tensor(labels, x.device());
  for (int step = 0; step < options.epochs; ++step)
    descent.step(x, y);
  take(descent, fit);
}

void fit_minibatch(const Tensor& x,
                   const std::vector<std::int32_t>& labels,
                   const ProbeOptions& options,
                   ProbeFit* fit) {
  Descent descent(fit->probe.weight, fit->probe.bias, options, x.device());
  const std::int64_t D = x.dim(1);
  const Tensor on_host = x.to(kCpu);
  data::EpochOrder order(x.dim(0), options.batch_size, options.seed, {.shuffle = true, .drop_last = false});
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    order.start_epoch(epoch);
    for (std::int64_t b = 0; b < order.batches(); ++b) {
      const std::vector<std::int64_t> samples = order.batch(b);
      const auto N = static_cast<std::int64_t>(samples.size());
      Tensor rows({N, D});
      std::vector<std::int32_t> of_rows;
      float* to = rows.mutable_data();
      for (const std::int64_t sample : samples) {
        const float* from = on_host.data() + sample * D;
        to = std::copy(from, from + D, to);
        of_rows.push_back(labels[static_cast<std::size_t>(sample)]);
      }
      descent.step(rows.to(x.device()), label_tensor(of_rows, x.device()));
    }
  }
  take(descent, fit);
}

void fit_to_convergence(const Tensor& x,
                        const std::vector<std::int32_t>& labels,
                        const ProbeOptions& options,
                        ProbeFit* fit) {
  Probe& probe = fit->probe;
  const SoftmaxRegression loss(x.to(kCpu), labels, probe.classes(),
                               static_cast<double>(options.weight_decay));
  std::vector<double> start;
  for (const Tensor& t : {probe.weight, probe.bias})
    for (const float v : t.to_host())
      start.push_back(static_cast<double>(v));
  const Minimum minimum = minimize(
      loss, std::move(start), {.tolerance = options.tolerance, .max_iterations = options.max_iterations});
  const std::vector<float> values(minimum.x.begin(), minimum.x.end());
  const auto bias = values.end() - probe.classes();
  probe.weight = Tensor::from_host(probe.weight.shape(), std::vector<float>(values.begin(), bias));
  probe.bias = Tensor::from_host(probe.bias.shape(), std::vector<float>(bias, values.end()));
  fit->steps = minimum.iterations;
  fit->gradient = minimum.gradient;
  fit->converged = minimum.converged;
}

void check_samples(const Tensor& features, const std::vector<std::int32_t>& labels, int classes) {
  CLX_CHECK(
      features.defined() && features.rank() == 2 && features.size() > 0 && features.dtype() == DType::f32,
      "probe: expected features (N,D) of f32");
  CLX_CHECK(static_cast<std::int64_t>(labels.size()) == features.dim(0), "probe: expected ", features.dim(0),
            " labels, got ", labels.size());
  CLX_CHECK(classes >= 2, "probe: expected at least 2 classes, got ", classes);
  for (const std::int32_t label : labels)
    CLX_CHECK(label >= 0 && label < classes, "probe: expected labels within 0…", classes - 1, ", got ",
              label);
}

double mean_loss(const Probe& probe, const Tensor& x, const std::vector<std::int32_t>& labels) {
  const NoGrad no_grad;
  const Tensor scores = linear(x, probe.weight.to(x.device()), probe.bias.to(x.device()));
  return static_cast<double>(cross_entropy(scores, label_tensor(labels, x.device())).loss.item());
}

}  // namespace

std::string name_of(ProbeMode mode) {
  if (mode == ProbeMode::full_batch) return "full-batch";
  return mode == ProbeMode::minibatch ? "minibatch" : "converged";
}

ProbeFit fit_probe(const Tensor& features,
                   const std::vector<std::int32_t>& labels,
                   int classes,
                   const ProbeOptions& options,
                   const ProbeStart& start) {
  check_samples(features, labels, classes);
  const std::int64_t D = features.dim(1);
  ProbeFit fit;
  fit.probe.mode = options.mode;
  fit.probe.normalized = options.normalize;
  Initializer initializer(options.seed);
  const auto bound = static_cast<float>(1 / std::sqrt(static_cast<double>(D)));
  fit.probe.weight = start.weight.defined() ? start.weight : initializer.uniform({classes, D}, bound);
  fit.probe.bias = start.bias.defined() ? start.bias : initializer.uniform({classes}, bound);
  const Shape weight{classes, D}, bias{classes};
  CLX_CHECK(fit.probe.weight.shape() == weight && fit.probe.bias.shape() == bias,
            "probe: expected to start from weight ", weight, " and bias ", bias, ", got ",
            fit.probe.weight.shape(), " and ", fit.probe.bias.shape());
  Tensor x;
  {
    const NoGrad no_grad;
    x = options.normalize ? l2_normalize(features) : features.detach();
  }
  if (options.mode == ProbeMode::full_batch) fit_full_batch(x, labels, options, &fit);
  if (options.mode == ProbeMode::minibatch) fit_minibatch(x, labels, options, &fit);
  if (options.mode == ProbeMode::converged) fit_to_convergence(x, labels, options, &fit);
  fit.loss = mean_loss(fit.probe, x, labels);
  return fit;
}

Tensor probe_scores(const Probe& probe, const Tensor& features) {
  return probe_scores(probe, features, probe.normalized);
}

Tensor probe_scores(const Probe& probe, const Tensor& features, bool normalize) {
  return linear(normalize ? l2_normalize(features) : features, probe.weight.to(features.device()),
                probe.bias.to(features.device()));
}

Confidence confidence_of(const Tensor& scores, const std::vector<std::int32_t>& labels) {
  CLX_CHECK(scores.defined() && scores.rank() == 2 && scores.size() > 0 &&
                static_cast<std::int64_t>(labels.size()) == scores.dim(0),
            "probe: expected as many labels as rows of scores");
  const std::int64_t K = scores.dim(1);
  const std::vector<float> z = scores.to_host();
  Confidence sum;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = z.begin() + static_cast<std::int64_t>(i) * K;
    const auto highest = std::max_element(row, row + K);
    double total = 0;
    for (auto v = row; v != row + K; ++v)
      total += std::exp(static_cast<double>(*v) - static_cast<double>(*highest));
    sum.accuracy += highest - row == labels[i];
    sum.max_probability += 1 / total;
    sum.true_probability +=
        std::exp(static_cast<double>(row[labels[i]]) - static_cast<double>(*highest)) / total;
  }
  const auto N = static_cast<double>(labels.size());
  return {sum.accuracy / N, sum.max_probability / N, sum.true_probability / N};
}

}  // namespace clx::nn
