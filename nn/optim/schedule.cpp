#include "nn/optim/schedule.h"

#include <cmath>
#include <numbers>

#include "runtime/check.h"

namespace clx::nn {

double cosine(double lr, int epoch, int epochs) {
  CLX_CHECK(epoch >= 0 && epoch < epochs, "schedule: expected an epoch within 0…", epochs - 1, ", got ",
            epoch);
  return 0.5 * lr * (1 + std::cos(std::numbers::pi * epoch / epochs));
}

double warmup_cosine(double lr, int epoch, int epochs, int warmup) {
  CLX_CHECK(warmup >= 0 && warmup <= epochs, "schedule: expected a warm-up within 0…", epochs,
            " epochs, got ", warmup);
  if (epoch >= warmup) return cosine(lr, epoch - warmup, epochs - warmup);
  CLX_CHECK(epoch >= 0, "schedule: expected an epoch within 0…", epochs - 1, ", got ", epoch);
  return lr * (0.1 + 0.9 * epoch / warmup);
}

}  // namespace clx::nn
