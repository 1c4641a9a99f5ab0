#include "runtime/ops/triplet.h"

#include <cmath>

#include "kernels/triplet.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Triplet triplet(const Tensor& x, const Tensor& labels, const TripletOptions& options) {
  require_floating("triplet", "x", x);
  require_rank("triplet", "x (N,D)", x, 2);
  const Device device = x.device();
  require("triplet", "x", x, DType::f32, x.shape(), device);
  const std::int64_t N = x.dim(0), D = x.dim(1);
  require("triplet", "labels", labels, DType::i32, {N}, device);
  CLX_CHECK(options.margin >= 0 && std::isfinite(options.margin),
            "triplet: expected a margin of at least 0, got ", options.margin);
  const kernels::TripletShape shape{static_cast<int>(N), static_cast<int>(D), options.margin,
                                    options.mining == Mining::hard};
  Tensor laplacian({N, N}, device), loss(Shape{}, device), active(Shape{}, device, DType::i64);
  on(device, [&](const auto& backend) {
    kernels::triplet_forward(backend, shape, x.data(), labels.data<std::int32_t>(), laplacian.mutable_data(),
                             loss.mutable_data(), active.mutable_data<std::int64_t>());
  });
  loss =
      record("triplet", loss, {x},
             [=, x = Saved(x), laplacian = Saved(laplacian)](const Tensor& dloss, const Needs&) {
               Tensor dx({N, D}, device);
               on(device, [&](const auto& backend) {
                 kernels::triplet_backward(backend, shape, x.get("triplet").data(),
                                           laplacian.get("triplet").data(), dloss.data(), dx.mutable_data());
               });
               return std::vector{dx};
             });
  return {loss, active};
}

}  // namespace clx
