#include "apps/bench/peaks.h"

#include <algorithm>
#include <chrono>

#include "apps/bench/expect.h"
#include "runtime/ops/linear.h"

namespace clx::app {
namespace {

// The least time of one call, after a first that is not counted.
double best_seconds(Device device, const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRuns = 8;
  double best = 0;
  for (int i = 0; i <= kRuns; ++i) {
    const auto start = Clock::now();
    run();
    wait_for(device);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (i == 1 || (i > 1 && seconds < best)) best = seconds;
  }
  return best;
}

double matmul_rate(Device device, DType dtype, std::int64_t M) {
  const Tensor a = random_tensor({M, M}, device, dtype, 1), b = random_tensor({M, M}, device, dtype, 2);
  const double flops = 2.0 * static_cast<double>(M) * static_cast<double>(M) * static_cast<double>(M);
  return flops / best_seconds(device, [&] { matmul(a, b); });
}

}  // namespace

Peaks measure_peaks(Device device) {
  // Larger than any cache, and large enough to fill the device.
  const bool gpu = device.kind == DeviceKind::cuda, emulated = device.kind == DeviceKind::emulated;
  const std::int64_t M = gpu ? 8192 : emulated ? 32 : 1536;
  const Tensor source = Tensor::full({(emulated ? 1 : gpu ? 1024 : 256) << 18}, 1, device);
  const double moved = 2 * static_cast<double>(source.bytes());
  return {.matmul_f32 = matmul_rate(device, DType::f32, M),
          .matmul_bf16 = matmul_rate(device, DType::bf16, M),
          .copy = moved / best_seconds(device, [&] { source.clone(); })};
}

}  // namespace clx::app
