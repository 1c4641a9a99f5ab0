#include "runtime/step.h"

#include <cstddef>
#include <cstring>

#include "kernels/memory.h"
#include "kernels/step_state.h"
#include "runtime/capture.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

// Writes `bytes` of one field, in stream order.
template <class Field>
void write_field(Tensor& state, std::size_t offset, const Field& value) {
  CLX_CHECK(!current_capture(state.device()),
            "step: expected to be written outside a capture, got a capture");
  on(state.device(), [&](const auto& backend) {
    kernels::copy_from_host(backend, sizeof value, &value,
                            static_cast<char*>(state.mutable_view().data) + offset);
  });
}

}  // namespace

Step::Step(Device device) : state_({static_cast<std::int64_t>(sizeof(StepState))}, device, DType::u8) {
  write_field(state_, 0, StepState{});
}

void Step::set_learning_rate(float lr) {
  write_field(state_, offsetof(StepState, learning_rate), lr);
}

void Step::set_key(std::uint64_t seed, int epoch) {
  write_field(state_, offsetof(StepState, seed), seed);
  write_field(state_, offsetof(StepState, epoch), static_cast<std::int32_t>(epoch));
}

void Step::set_step(std::int64_t step) {
  write_field(state_, offsetof(StepState, step), static_cast<std::int32_t>(step));
}

void Step::advance(int samples, const Tensor& loss, const Tensor& correct) {
  require("step", "the loss", loss, DType::f32, Shape{}, device());
  require("step", "the number of correct samples", correct, DType::i32, Shape{}, device());
  on(device(), [&](const auto& backend) {
    kernels::step_state_advance(backend, samples, loss.data(), correct.data<std::int32_t>(),
                                static_cast<StepState*>(state_.mutable_view().data));
  });
}

StepTotals Step::peek() const {
  const std::vector<std::uint8_t> bytes = state_.to_host<std::uint8_t>();
  StepState s;
  std::memcpy(&s, bytes.data(), sizeof s);
  return {s.step, s.batches ? s.loss_sum / s.batches : 0.0,
          s.seen ? static_cast<double>(s.correct) / s.seen : 0.0, s.seen, s.first_bad_step};
}

StepTotals Step::read() {
  const StepTotals totals = peek();
  write_field(state_, offsetof(StepState, loss_sum), 0.0);
  write_field(state_, offsetof(StepState, batches), std::int32_t{0});
  write_field(state_, offsetof(StepState, correct), std::int32_t{0});
  write_field(state_, offsetof(StepState, seen), std::int32_t{0});
  return totals;
}

}  // namespace clx
