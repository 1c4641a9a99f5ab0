// What ends a training step: cross-entropy with its gradient, and the optimizer.
#include <algorithm>
#include <fmt/format.h>
#include <memory>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/sgd_step.h"

namespace clx::app {
namespace {

Tensor labels_of(std::int64_t count, std::int64_t classes, Device device) {
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i)
    labels.push_back(static_cast<std::int32_t>(i * 7 % classes));
  return Tensor::from_host({count}, labels, device);
}

// ln Σ_k exp(row_k)
double log_sum_exp(const double* row, std::int64_t K) {
  const double most = *std::max_element(row, row + K);
  double sum = 0;
  for (std::int64_t k = 0; k < K; ++k)
    sum += std::exp(row[k] - most);
  return most + std::log(sum);
}

// The loss and dlogits, as a training step computes both.
Workload cross_entropy_and_gradient(std::int64_t N, std::int64_t K, Device device) {
  Tensor logits = random_tensor({N, K}, device, DType::f32, 1);
  logits.require_grad();
  const Tensor labels = labels_of(N, K, device);
  const auto run = [=] {
    const Tensor loss = cross_entropy(logits, labels).loss;
    return std::pair{loss.detach(), grad(loss, {logits})[0]};
  };
  return {run, [=] {
            const auto [loss, gradient] = run();
            const std::vector<double> x = values(logits), dx = values(gradient);
            const std::vector<std::int32_t> label = labels.to_host<std::int32_t>();
            Sum expected;
            for (std::int64_t n = 0; n < N; ++n) {
              const double* row = &x[static_cast<std::size_t>(n * K)];
              const std::int32_t own = label[static_cast<std::size_t>(n)];
              const double total = log_sum_exp(row, K);
              expected.add((total - row[own]) / static_cast<double>(N));
              for (const std::int64_t k : {std::int64_t{own}, n % K}) {
                Sum sum;
                sum.add(std::exp(row[k] - total) / static_cast<double>(N));
                if (k == own) sum.add(-1 / static_cast<double>(N));
                expect_close("dlogits", n * K + k, dx[static_cast<std::size_t>(n * K + k)], sum, DType::f32);
              }
            }
            expect_close("loss", 0, loss.item(), expected, DType::f32);
          }};
}

// One parameter with its gradient, of a linear layer.
struct Optimized {
  std::vector<Tensor> parameters, momentum;
  Step step;

  Optimized(std::int64_t rows, std::int64_t columns, Device device)
      : parameters{random_tensor({rows, columns}, device, DType::f32, 1)}, momentum(1), step(device) {
    parameters[0].require_grad();
    const Tensor x = random_tensor({16, columns}, device, DType::f32, 2);
    backward(cross_entropy(linear(x, parameters[0], {}), labels_of(16, rows, device)).loss);
  }
  void run() { sgd_step(parameters, momentum, step, {.momentum = 0.9f, .weight_decay = 5e-4f}); }
};

// θ − lr·(∇ + weight_decay·θ) at the first step; the timed ones are later, with the momentum, and lr = 0
// keeps the numbers as they are.
void check_sgd(Optimized& o) {
  constexpr float kRate = 0.5f;
  const std::vector<double> before = values(o.parameters[0]), gradient = values(o.parameters[0].grad());
  o.step.set_learning_rate(kRate);
  o.step.set_step(0);
  o.run();
  const std::vector<double> after = values(o.parameters[0]);
  for (const std::int64_t i : some_of(o.parameters[0].size())) {
    const auto at = static_cast<std::size_t>(i);
    Sum sum;
    sum.add(before[at]);
    sum.add(-kRate * (gradient[at] + 5e-4 * before[at]));
    expect_close("parameter", i, after[at], sum, DType::f32);
  }
  o.step.set_learning_rate(0);
  o.step.set_step(1);
}

}  // namespace

std::vector<Case> head_cases(Device device) {
  const bool emulated = device.kind == DeviceKind::emulated;
  const std::int64_t N = emulated ? 8 : 1024, K = emulated ? 10 : 1000;
  const std::int64_t rows = emulated ? 16 : 1000, columns = emulated ? 32 : 4096;
  const auto logits = static_cast<double>(N * K), parameters = static_cast<double>(rows * columns);
  return {{.name = fmt::format("cross_entropy_and_gradient/{}/N{}_K{}_f32", concat(device), N, K),
           .bound = Bound::memory,
           .flops = 7 * logits,  // maximum 1; difference, exponential and sum 3; gradient 3
           .bytes = 2 * 4 * logits,
           .prepare = [=] { return cross_entropy_and_gradient(N, K, device); }},
          {.name = fmt::format("sgd_step/{}/parameters{}_f32", concat(device), rows * columns),
           .bound = Bound::memory,
           .flops = 6 * parameters,      // weight decay, momentum, step: a product and a sum each
           .bytes = 5 * 4 * parameters,  // reads θ, ∇, momentum; writes θ, momentum
           .prepare = [=] {
             const auto o = std::make_shared<Optimized>(rows, columns, device);
             return Workload{[o] { o->run(); }, [o] { check_sgd(*o); }};
           }}};
}

}  // namespace clx::app
