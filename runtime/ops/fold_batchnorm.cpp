#include "runtime/ops/fold_batchnorm.h"

#include "kernels/batchnorm.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

FoldedFilters fold_batchnorm(const Tensor& w,
                             const Tensor& gamma,
                             const Tensor& beta,
                             const Tensor& running_mean,
                             const Tensor& running_var,
                             float eps) {
  CLX_CHECK(w.defined() && w.dtype() == DType::f32, "fold_batchnorm: expected f32 filters");
  require_rank("fold_batchnorm", "filters (K,R,S,C)", w, 4);
  const Device device = w.device();
  const Shape channels{w.dim(0)};
  require("fold_batchnorm", "gamma", gamma, DType::f32, channels, device);
  require("fold_batchnorm", "beta", beta, DType::f32, channels, device);
  require("fold_batchnorm", "running_mean", running_mean, DType::f32, channels, device);
  require("fold_batchnorm", "running_var", running_var, DType::f32, channels, device);
  FoldedFilters folded{Tensor(w.shape(), device), Tensor(channels, device)};
  on(device, [&](const auto& backend) {
    const int K = static_cast<int>(w.dim(0));
    auto* inv_std = static_cast<float*>(backend.workspace(channels.size() * sizeof(float)));
    kernels::batchnorm_inv_std(backend, K, running_var.data(), eps, inv_std);
    kernels::batchnorm_fold(backend, K, w.size() / K, w.data(), gamma.data(), beta.data(),
                            running_mean.data(), inv_std, folded.w.mutable_data(),
                            folded.bias.mutable_data());
  });
  return folded;
}

}  // namespace clx
