// The state of a training step, on the device.
#pragma once

#include <cstdint>

#include "runtime/tensor.h"

namespace clx {

/// What was summed on the device since the last read.
struct StepTotals {
  std::int64_t step = 0;  // optimizer steps so far
  double loss = 0;        // mean of the batch losses
  double accuracy = 0;    // correct / seen
  std::int64_t seen = 0;
  std::int64_t first_bad_step = -1;  // the first step with a loss that is not finite, −1 if none
};

/// Learning rate, step count, random key, loss and accuracy sums in device memory (clx::StepState), so
/// that a step needs no word from the host and the host none from the device.
class Step {
 public:
  explicit Step(Device device = kCpu);

  /// Written before the steps they hold for; queued, not waited for.
  void set_learning_rate(float lr);
  void set_key(std::uint64_t seed, int epoch);
  void set_step(std::int64_t step);

  /// Adds a batch's loss () f32 and correct () i32 to the sums and counts the step. Call it after the
  /// optimizer. Queued.
  void advance(int samples, const Tensor& loss, const Tensor& correct);

  /// Reads the sums and lets them grow on; waits for the device.
  StepTotals peek() const;
  /// Reads and clears the sums; waits for the device.
  StepTotals read();

  Device device() const { return state_.device(); }
  Tensor& state() { return state_; }
  const Tensor& state() const { return state_; }

 private:
  Tensor state_;  // one StepState as bytes
};

}  // namespace clx
