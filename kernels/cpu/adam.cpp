#include "kernels/adam.h"

#include "kernels/adam_coefficients.h"
#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

constexpr std::int64_t kGrain = 1 << 15;

template <bool Rectified>
void update(const AdamTensor& t, const AdamCoefficients& k, std::int64_t begin, std::int64_t end) {
  float* __restrict theta = t.theta;
  float* __restrict mean = t.mean;
  float* __restrict square = t.square;
  const float* __restrict gradient = t.gradient;
  for (std::int64_t i = begin; i < end; ++i) {
    const float shrunk = k.shrink * theta[i];
    const float g = gradient[i] + k.weight_decay * shrunk;
    const float m = mean[i] + k.take1 * (g - mean[i]);
    const float v = k.keep2 * square[i] + k.take2 * (g * g);
    mean[i] = m;
    square[i] = v;
    theta[i] = shrunk - k.rate * (Rectified ? m / (std::sqrt(v) + k.epsilon) : m);
  }
}

void step(
    AdamKind kind, int count, const AdamTensor* tensors, const AdamConstants& c, const StepState* state) {
  const AdamCoefficients k = adam_coefficients(kind, c, *state);
  const auto part = k.rectified ? update<true> : update<false>;
  for (const AdamTensor* t = tensors; t != tensors + count; ++t)
    parallel_ranges(t->size, kGrain, [&](std::int64_t begin, std::int64_t end) { part(*t, k, begin, end); });
}

}  // namespace

void adamw_step(
    const Cpu&, int count, const AdamTensor* tensors, const AdamConstants& c, const StepState* state) {
  step(AdamKind::adamw, count, tensors, c, state);
}

void radam_step(
    const Cpu&, int count, const AdamTensor* tensors, const AdamConstants& c, const StepState* state) {
  step(AdamKind::radam, count, tensors, c, state);
}

}  // namespace clx::kernels
