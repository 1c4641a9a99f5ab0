#include "apps/bench/peaks.h"

#include <algorithm>
#include <chrono>

#include "apps/bench/expect.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/convert.h"
#include "runtime/ops/linear.h"

namespace clx::app {
namespace {

// The least time of one call, after a first that is not counted.
double best_seconds(Device device, const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRuns = 12;
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

// A product of M×M matrices as clx::matmul and as the 1×1 convolution of an image of M pixels that it also
// is: where the two are computed by different libraries, the better one is what the machine can do.
double product_rate(Device device, DType dtype, std::int64_t M) {
  const Tensor a = random_tensor({M, M}, device, dtype, 1), b = random_tensor({M, M}, device, dtype, 2);
  const Tensor x = a.reshape({M / 32, 4, 8, M});
  const Tensor w = convert(b, DType::f32).reshape({M, 1, 1, M});
  const double flops = 2.0 * static_cast<double>(M) * static_cast<double>(M) * static_cast<double>(M);
  return flops /
         std::min(best_seconds(device, [&] { matmul(a, b); }), best_seconds(device, [&] { conv2d(x, w); }));
}

}  // namespace

Peaks measure_peaks(Device device) {
  // Larger than any cache, and large enough to fill the device.
  const bool gpu = device.kind == DeviceKind::cuda, emulated = device.kind == DeviceKind::emulated;
  const std::int64_t M = gpu ? 8192 : emulated ? 32 : 1536;
  const Tensor source = Tensor::full({(emulated ? 1 : gpu ? 1024 : 256) << 18}, 1, device);
  const double moved = 2 * static_cast<double>(source.bytes());
  return {.product_f32 = product_rate(device, DType::f32, M),
          .product_bf16 = product_rate(device, DType::bf16, M),
          .copy = moved / best_seconds(device, [&] { source.clone(); })};
}

}  // namespace clx::app
