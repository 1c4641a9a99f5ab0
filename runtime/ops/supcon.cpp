#include "runtime/ops/supcon.h"

#include <cmath>

#include "kernels/supcon.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Tensor supcon(const Tensor& z, const Tensor& labels, const SupconOptions& options) {
  require_floating("supcon", "z", z);
  require_rank("supcon", "z (N,D)", z, 2);
  const Device device = z.device();
  require("supcon", "z", z, DType::f32, z.shape(), device);
  require("supcon", "labels", labels, DType::i32, {z.dim(0)}, device);
  const float temperature = options.temperature;
  CLX_CHECK(temperature > 0 && std::isfinite(temperature), "supcon: expected a temperature above 0, got ",
            temperature);
  const kernels::SupconShape shape{static_cast<int>(z.dim(0)), static_cast<int>(z.dim(1))};
  Tensor loss(Shape{}, device), log_sum({z.dim(0)}, device), pull({z.dim(0)}, device);
  on(device, [&](const auto& backend) {
    auto* anchor_loss = static_cast<float*>(backend.workspace(sizeof(float) * shape.N));
    kernels::supcon_forward(backend, shape, z.data(), labels.data<std::int32_t>(), temperature,
                            log_sum.mutable_data(), pull.mutable_data(), anchor_loss, loss.mutable_data());
  });
  return record("supcon", loss, {z},
                [=, z = Saved(z), labels = Saved(labels), log_sum = Saved(log_sum), pull = Saved(pull)](
                    const Tensor& dloss, const Needs&) {
                  Tensor dz({shape.N, shape.D}, device);
                  on(device, [&](const auto& backend) {
                    kernels::supcon_backward(backend, shape, z.get("supcon").data(),
                                             labels.get("supcon").data<std::int32_t>(), temperature,
                                             log_sum.get("supcon").data(), pull.get("supcon").data(),
                                             dloss.data(), dz.mutable_data());
                  });
                  return std::vector{dz};
                });
}

}  // namespace clx
