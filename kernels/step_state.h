// What varies from step to step of training, kept on the device so that a step never waits for it.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace clx {

/// Lives in device memory; kernels take a pointer to it. The host writes `learning_rate` and the key
/// before a step and reads the sums once per log interval.
struct StepState {
  float learning_rate = 0;
  std::int32_t step = 0;             // optimizer steps done since the start of training
  double loss_sum = 0;               // Σ of batch losses since the last read
  std::int32_t batches = 0;          // batches in loss_sum
  std::int32_t correct = 0;          // correctly classified samples since the last read
  std::int32_t seen = 0;             // samples since the last read
  std::int32_t first_bad_step = -1;  // the first step whose loss was not finite, −1 if none
  std::uint64_t seed = 0;            // Philox key of the augmentations
  std::int32_t epoch = 0;
};

namespace kernels {

/// Adds one batch: loss_sum += *loss, correct += *correct, seen += samples, batches += 1, step += 1;
/// notes the step in first_bad_step if *loss is not finite and none was noted before.
void step_state_advance(const Cpu&, int samples, const float* loss, const std::int32_t* correct, StepState*);
void step_state_advance(const Cuda&, int samples, const float* loss, const std::int32_t* correct, StepState*);
void step_state_advance(
    const Emulated&, int samples, const float* loss, const std::int32_t* correct, StepState*);

}  // namespace kernels
}  // namespace clx
