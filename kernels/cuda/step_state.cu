// What: adds one batch's loss and number of correct samples to the device's StepState.
// Who: one thread of one warp.
// Where: the StepState, 56 bytes of device memory.
// Limit: the latency of a launch.
#include "kernels/step_state.h"

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "kernels/cuda/launch.h"

namespace clx::kernels {
namespace {

__global__ void advance_kernel(int samples,
                               const float* loss,
                               const std::int32_t* correct,
                               StepState* state) {
  if (threadIdx.x != 0) return;
  StepState next = *state;
  const bool finite = fabsf(*loss) <= FLT_MAX;  // false for NaN
  if (!finite && next.first_bad_step < 0) next.first_bad_step = next.step;
  next.loss_sum += *loss;
  next.correct += *correct;
  next.seen += samples;
  next.batches += 1;
  next.step += 1;
  *state = next;
}

}  // namespace

void step_state_advance(
    const Gpu& b, int samples, const float* loss, const std::int32_t* correct, StepState* state) {
  launch(advance_kernel, dim3(1), dim3(32), 0, b, samples, loss, correct, state);
}

}  // namespace clx::kernels
