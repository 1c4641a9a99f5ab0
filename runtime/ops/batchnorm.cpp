#include "runtime/ops/batchnorm.h"

#include "kernels/batchnorm.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Tensor batchnorm(const Tensor& x,
                 const Tensor& gamma,
                 const Tensor& beta,
                 Tensor& running_mean,
                 Tensor& running_var,
                 const BatchNormOptions& options) {
  require_floating("batchnorm", "x", x);
  CLX_CHECK(x.rank() >= 2 && x.size() > 0, "batchnorm: expected x (…,C) with at least one element, got ",
            x.shape());
  const Device device = x.device();
  const Shape channels{x.dim(-1)};
  require("batchnorm", "gamma", gamma, DType::f32, channels, device);
  require("batchnorm", "beta", beta, DType::f32, channels, device);
  require("batchnorm", "running_mean", running_mean, DType::f32, channels, device);
  require("batchnorm", "running_var", running_var, DType::f32, channels, device);
  const Tensor& residual = options.residual;
  if (residual.defined()) require("batchnorm", "residual", residual, x.dtype(), x.shape(), device);
  const kernels::BatchNormShape s{x.size() / x.dim(-1), static_cast<int>(x.dim(-1))};
  const bool training = options.training, relu = options.relu;
  CLX_CHECK(!training || s.M > 1, "batchnorm: expected more than one value per channel in training, got ",
            x.shape());

  Tensor y(x.shape(), device, x.dtype());
  Tensor mean = training ? Tensor(channels, device) : running_mean.detach();
  Tensor inv_std(channels, device);
  const std::size_t saved_bytes = on(device, [&](const auto& backend) {
    if (training)
      kernels::batchnorm_statistics(backend, s, x.view(), options.eps, options.momentum, mean.mutable_data(),
                                    inv_std.mutable_data(), running_mean.mutable_data(),
                                    running_var.mutable_data());
    else
      kernels::batchnorm_inv_std(backend, s.C, running_var.data(), options.eps, inv_std.mutable_data());
    return kernels::batchnorm_saved_bytes(backend, s, relu);
  });
  Tensor mask({static_cast<std::int64_t>(saved_bytes)}, device, DType::u8);
  on(device, [&](const auto& backend) {
    kernels::batchnorm_apply(backend, s, x.view(), residual.view(), gamma.data(), beta.data(), mean.data(),
                             inv_std.data(), relu, y.mutable_view(), mask.mutable_view().data);
  });
  return record("batchnorm", y, {x, gamma, beta, residual},
                [=, x = Saved(x), gamma = Saved(gamma), mean = Saved(mean), inv_std = Saved(inv_std),
                 mask = Saved(mask)](const Tensor& dy, const Needs& needs) {
                  const Tensor& in = x.get("batchnorm");
                  const Tensor& scale = gamma.get("batchnorm");
                  Tensor dx(in.shape(), device, in.dtype());
                  Tensor dgamma(channels, device), dbeta(channels, device);
                  Tensor dresidual = needs[3] ? Tensor(in.shape(), device, in.dtype()) : Tensor();
                  on(device, [&](const auto& backend) {
                    kernels::batchnorm_backward(backend, s, in.view(), dy.view(), scale.data(),
                                                mean.get("batchnorm").data(), inv_std.get("batchnorm").data(),
                                                training, relu, mask.get("batchnorm").view().data,
                                                dx.mutable_view(), dresidual.mutable_view(),
                                                dgamma.mutable_data(), dbeta.mutable_data());
                  });
                  return std::vector{dx, dgamma, dbeta, dresidual};
                });
}

}  // namespace clx
