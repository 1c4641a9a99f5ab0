#include "runtime/ops/batchnorm.h"

#include "kernels/batchnorm.h"
#include "kernels/collective.h"
#include "kernels/memory.h"
#include "runtime/autograd.h"
#include "runtime/communicator.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

kernels::BatchNormParts parts_of(const BatchNormOptions& options) {
  if (!options.moments.defined()) return {};
  return {static_cast<int>(options.moments.dim(0)), options.moments.data()};
}

// Statistics of the batches of all processes together.
void global_statistics(const Tensor& x,
                       kernels::BatchNormShape s,
                       const BatchNormOptions& options,
                       Tensor& mean,
                       Tensor& inv_std,
                       Tensor& running_mean,
                       Tensor& running_var) {
  on(x.device(), [&](const auto& backend) {
    kernels::ProcessGroup& group = options.across->group();
    const std::size_t bytes = 2 * sizeof(float) * static_cast<std::size_t>(s.C);
    auto* mine = static_cast<float*>(backend.workspace(bytes));
    auto* all = static_cast<float*>(backend.workspace(bytes * static_cast<std::size_t>(group.size())));
    kernels::batchnorm_moments(backend, s, x.view(), mine, parts_of(options));
    kernels::all_gather(backend, group, bytes, mine, all);
    kernels::batchnorm_merge(backend, s, group.size(), all, options.eps, options.momentum,
                             mean.mutable_data(), inv_std.mutable_data(), running_mean.mutable_data(),
                             running_var.mutable_data());
  });
}

// {Σ dgamma, Σ dbeta} over all processes, in scratch memory.
template <class Backend>
const float* global_sums(const Backend& backend,
                         Communicator& across,
                         const Tensor& dgamma,
                         const Tensor& dbeta) {
  auto* sums = static_cast<float*>(backend.workspace(2 * dgamma.bytes()));
  kernels::copy(backend, dgamma.bytes(), dgamma.data(), sums);
  kernels::copy(backend, dbeta.bytes(), dbeta.data(), sums + dgamma.size());
  kernels::all_reduce(backend, across.group(), 2 * dgamma.size(), sums, sums);
  return sums;
}

}  // namespace

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
  if (const Tensor& moments = options.moments; moments.defined()) {
    require_rank("batchnorm", "moments (parts,C,3)", moments, 3);
    require("batchnorm", "moments", moments, DType::f32, {moments.dim(0), x.dim(-1), 3}, device);
  }
  const kernels::BatchNormShape s{x.size() / x.dim(-1), static_cast<int>(x.dim(-1))};
  const bool training = options.training, relu = options.relu;
  Communicator* const across =
      training && options.across && options.across->size() > 1 ? options.across : nullptr;
  const std::int64_t positions = across ? s.M * across->size() : s.M;
  CLX_CHECK(!training || positions > 1,
            "batchnorm: expected more than one value per channel in training, got ", x.shape());

  Tensor y(x.shape(), device, x.dtype());
  Tensor mean = training ? Tensor(channels, device) : running_mean.detach();
  Tensor inv_std(channels, device);
  if (across) global_statistics(x, s, options, mean, inv_std, running_mean, running_var);
  const std::size_t saved_bytes = on(device, [&](const auto& backend) {
    if (training && !across)
      kernels::batchnorm_statistics(backend, s, x.view(), options.eps, options.momentum, mean.mutable_data(),
                                    inv_std.mutable_data(), running_mean.mutable_data(),
                                    running_var.mutable_data(), parts_of(options));
    if (!training)
      kernels::batchnorm_inv_std(backend, s.C, running_var.data(), options.eps, inv_std.mutable_data());
    return kernels::batchnorm_saved_bytes(backend, s, relu);
  });
  Tensor mask({static_cast<std::int64_t>(saved_bytes)}, device, DType::u8);
  on(device, [&](const auto& backend) {
    kernels::batchnorm_apply(backend, s, x.view(), residual.view(), gamma.data(), beta.data(), mean.data(),
                             inv_std.data(), relu, y.mutable_view(), mask.mutable_view().data);
  });
  return record(
      "batchnorm", y, {x, gamma, beta, residual},
      [=, x = Saved(x), gamma = Saved(gamma), mean = Saved(mean), inv_std = Saved(inv_std),
       mask = Saved(mask)](const Tensor& dy, const Needs& needs) {
        const Tensor& in = x.get("batchnorm");
        const Tensor& scale = gamma.get("batchnorm");
        Tensor dx(in.shape(), device, in.dtype());
        Tensor dgamma(channels, device), dbeta(channels, device);
        Tensor dresidual = needs[3] ? Tensor(in.shape(), device, in.dtype()) : Tensor();
        const Tensor &mu = mean.get("batchnorm"), &scaling = inv_std.get("batchnorm");
        const void* passed = mask.get("batchnorm").view().data;
        on(device, [&](const auto& backend) {
          kernels::batchnorm_gradient_sums(backend, s, in.view(), dy.view(), mu.data(), scaling.data(), relu,
                                           passed, dgamma.mutable_data(), dbeta.mutable_data());
          const float* sums = across ? global_sums(backend, *across, dgamma, dbeta) : nullptr;
          kernels::batchnorm_dx(backend, s, positions, in.view(), dy.view(), scale.data(), mu.data(),
                                scaling.data(), sums ? sums : dgamma.data(), sums ? sums + s.C : dbeta.data(),
                                training, relu, passed, dx.mutable_view(), dresidual.mutable_view());
        });
        return std::vector{dx, dgamma, dbeta, dresidual};
      });
}

}  // namespace clx
