#include "kernels/sgd.h"

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

constexpr std::int64_t kGrain = 1 << 15;

struct Coefficients {
  float lr, weight_decay, keep, take;  // buf = keep·buf + take·g
  float ahead;                         // nesterov: d = g + ahead·buf
  bool nesterov;
};

void update_plain(const SgdTensor& t, const Coefficients& k, std::int64_t begin, std::int64_t end) {
  float* __restrict theta = t.theta;
  const float* __restrict gradient = t.gradient;
  for (std::int64_t i = begin; i < end; ++i)
    theta[i] -= k.lr * (gradient[i] + k.weight_decay * theta[i]);
}

void start_momentum(const SgdTensor& t, const Coefficients& k, std::int64_t begin, std::int64_t end) {
  float* __restrict theta = t.theta;
  float* __restrict momentum = t.momentum;
  const float* __restrict gradient = t.gradient;
  for (std::int64_t i = begin; i < end; ++i) {
    const float g = gradient[i] + k.weight_decay * theta[i];
    momentum[i] = g;
    theta[i] -= k.lr * (k.nesterov ? g + k.ahead * g : g);
  }
}

void update_momentum(const SgdTensor& t, const Coefficients& k, std::int64_t begin, std::int64_t end) {
  float* __restrict theta = t.theta;
  float* __restrict momentum = t.momentum;
  const float* __restrict gradient = t.gradient;
  for (std::int64_t i = begin; i < end; ++i) {
    const float g = gradient[i] + k.weight_decay * theta[i];
    const float buf = k.keep * momentum[i] + k.take * g;
    momentum[i] = buf;
    theta[i] -= k.lr * (k.nesterov ? g + k.ahead * buf : buf);
  }
}

}  // namespace

void sgd_step(const Cpu&, int count, const SgdTensor* tensors, SgdConstants c, const StepState* state) {
  const Coefficients k{state->learning_rate, c.weight_decay, c.momentum,
                       1 - c.dampening,      c.momentum,     c.nesterov};
  const bool first = state->step == 0;
  for (const SgdTensor* t = tensors; t != tensors + count; ++t) {
    const auto update = !t->momentum ? update_plain : first ? start_momentum : update_momentum;
    parallel_ranges(t->size, kGrain,
                    [&](std::int64_t begin, std::int64_t end) { update(*t, k, begin, end); });
  }
}

}  // namespace clx::kernels
