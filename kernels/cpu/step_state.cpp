#include "kernels/step_state.h"

#include <cmath>

namespace clx::kernels {

void step_state_advance(
    const Cpu&, int samples, const float* loss, const std::int32_t* correct, StepState* state) {
  if (!std::isfinite(*loss) && state->first_bad_step < 0) state->first_bad_step = state->step;
  state->loss_sum += static_cast<double>(*loss);
  state->correct += *correct;
  state->seen += samples;
  state->batches += 1;
  state->step += 1;
}

}  // namespace clx::kernels
