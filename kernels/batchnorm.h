// Batch normalisation over the last axis, with an optional residual and ReLU in the same pass.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace clx::kernels {

/// x is (M,C): M = N·H·W positions of C channels.
struct BatchNormShape {
  std::int64_t M = 0;
  int C = 0;
};

/// Bytes that the forward keeps for its backward: for each element whether ReLU passed it. The layout
/// is the backend's own. 0 without ReLU.
std::size_t batchnorm_saved_bytes(const Cpu&, BatchNormShape, bool relu);
std::size_t batchnorm_saved_bytes(const Cuda&, BatchNormShape, bool relu);
std::size_t batchnorm_saved_bytes(const Emulated&, BatchNormShape, bool relu);

/// Moments of the channels by parts of the positions, as conv2d_forward gives them on its way: (count,C) of
/// {positions, mean, Σ(x − mean)²}.
struct BatchNormParts {
  int count = 0;
  const float* moments = nullptr;
};

/// mean[c] = Σ x/M, inv_std[c] = 1/√(Σ(x − mean)²/M + eps), in two passes or an equally accurate way, in a
/// fixed order. If running_mean is not null: running ← (1 − momentum)·running + momentum·batch, the
/// variance with M/(M − 1). Given parts, a GPU merges them and does not read x; a CPU never has any.
void batchnorm_statistics(const Cpu&,
                          BatchNormShape,
                          ConstView x,
                          float eps,
                          float momentum,
                          float* mean,
                          float* inv_std,
                          float* running_mean,
                          float* running_var,
                          BatchNormParts = {});
void batchnorm_statistics(const Cuda&,
                          BatchNormShape,
                          ConstView x,
                          float eps,
                          float momentum,
                          float* mean,
                          float* inv_std,
                          float* running_mean,
                          float* running_var,
                          BatchNormParts = {});
void batchnorm_statistics(const Emulated&,
                          BatchNormShape,
                          ConstView x,
                          float eps,
                          float momentum,
                          float* mean,
                          float* inv_std,
                          float* running_mean,
                          float* running_var,
                          BatchNormParts = {});

/// moments (2,C): mean[c] and Σ(x − mean)², where the statistics are to be those of several processes.
void batchnorm_moments(const Cpu&, BatchNormShape, ConstView x, float* moments, BatchNormParts = {});
void batchnorm_moments(const Cuda&, BatchNormShape, ConstView x, float* moments, BatchNormParts = {});
void batchnorm_moments(const Emulated&, BatchNormShape, ConstView x, float* moments, BatchNormParts = {});

/// What batchnorm_statistics gives of `parts` matrices of this shape, from their moments (parts,2,C), merged
/// in their order.
void batchnorm_merge(const Cpu&,
                     BatchNormShape,
                     int parts,
                     const float* moments,
                     float eps,
                     float momentum,
                     float* mean,
                     float* inv_std,
                     float* running_mean,
                     float* running_var);
void batchnorm_merge(const Cuda&,
                     BatchNormShape,
                     int parts,
                     const float* moments,
                     float eps,
                     float momentum,
                     float* mean,
                     float* inv_std,
                     float* running_mean,
                     float* running_var);
void batchnorm_merge(const Emulated&,
                     BatchNormShape,
                     int parts,
                     const float* moments,
                     float eps,
                     float momentum,
                     float* mean,
                     float* inv_std,
                     float* running_mean,
                     float* running_var);

/// y = gamma·(x − mean)·inv_std + beta + residual, then ReLU if `relu` (saved must then be given).
/// residual may be null. In evaluation the caller passes mean = running_mean and inv_std from it.
void batchnorm_apply(const Cpu&,
                     BatchNormShape,
                     ConstView x,
                     ConstView residual,
                     const float* gamma,
                     const float* beta,
                     const float* mean,
                     const float* inv_std,
                     bool relu,
                     View y,
                     void* saved);
void batchnorm_apply(const Cuda&,
                     BatchNormShape,
                     ConstView x,
                     ConstView residual,
                     const float* gamma,
                     const float* beta,
                     const float* mean,
                     const float* inv_std,
                     bool relu,
                     View y,
                     void* saved);
void batchnorm_apply(const Emulated&,
                     BatchNormShape,
                     ConstView x,
                     ConstView residual,
                     const float* gamma,
                     const float* beta,
                     const float* mean,
                     const float* inv_std,
                     bool relu,
                     View y,
                     void* saved);

/// inv_std[c] = 1/√(running_var[c] + eps).
void batchnorm_inv_std(const Cpu&, int C, const float* running_var, float eps, float* inv_std);
void batchnorm_inv_std(const Cuda&, int C, const float* running_var, float eps, float* inv_std);
void batchnorm_inv_std(const Emulated&, int C, const float* running_var, float eps, float* inv_std);

/// Filters w (K,columns) and what batchnorm_apply would do to their results, as filters and a bias:
///   folded[k,i] = w[k,i]·gamma[k]·inv_std[k], bias[k] = beta[k] − mean[k]·gamma[k]·inv_std[k].
void batchnorm_fold(const Cpu&,
                    int K,
                    std::int64_t columns,
                    const float* w,
                    const float* gamma,
                    const float* beta,
                    const float* mean,
                    const float* inv_std,
                    float* folded,
                    float* bias);
void batchnorm_fold(const Cuda&,
                    int K,
                    std::int64_t columns,
                    const float* w,
                    const float* gamma,
                    const float* beta,
                    const float* mean,
                    const float* inv_std,
                    float* folded,
                    float* bias);
void batchnorm_fold(const Emulated&,
                    int K,
                    std::int64_t columns,
                    const float* w,
                    const float* gamma,
                    const float* beta,
                    const float* mean,
                    const float* inv_std,
                    float* folded,
                    float* bias);

/// Gradients of batchnorm_apply with mean and inv_std computed from x (training = true) or constant
/// (false). With g = dy where ReLU passed, else 0 (g = dy without ReLU), and x̂ = (x − mean)·inv_std:
///   dbeta = Σ g, dgamma = Σ g·x̂, dresidual = g,
///   dx = gamma·inv_std·(g − (dbeta + x̂·dgamma)/M) in training, gamma·inv_std·g otherwise.
/// dresidual may be null. All outputs are overwritten; sums in a fixed order.
void batchnorm_backward(const Cpu&,
                        BatchNormShape,
                        ConstView x,
                        ConstView dy,
                        const float* gamma,
                        const float* mean,
                        const float* inv_std,
                        bool training,
                        bool relu,
                        const void* saved,
                        View dx,
                        View dresidual,
                        float* dgamma,
                        float* dbeta);
void batchnorm_backward(const Cuda&,
                        BatchNormShape,
                        ConstView x,
                        ConstView dy,
                        const float* gamma,
                        const float* mean,
                        const float* inv_std,
                        bool training,
                        bool relu,
                        const void* saved,
                        View dx,
                        View dresidual,
                        float* dgamma,
                        float* dbeta);
void batchnorm_backward(const Emulated&,
                        BatchNormShape,
                        ConstView x,
                        ConstView dy,
                        const float* gamma,
                        const float* mean,
                        const float* inv_std,
                        bool training,
                        bool relu,
                        const void* saved,
                        View dx,
                        View dresidual,
                        float* dgamma,
                        float* dbeta);

/// The two halves of batchnorm_backward: its sums, and its dx and dresidual from sums over `positions`
/// positions: M, or those of all processes where the statistics were of all.
void batchnorm_gradient_sums(const Cpu&,
                             BatchNormShape,
                             ConstView x,
                             ConstView dy,
                             const float* mean,
                             const float* inv_std,
                             bool relu,
                             const void* saved,
                             float* dgamma,
                             float* dbeta);
void batchnorm_gradient_sums(const Cuda&,
                             BatchNormShape,
                             ConstView x,
                             ConstView dy,
                             const float* mean,
                             const float* inv_std,
                             bool relu,
                             const void* saved,
                             float* dgamma,
                             float* dbeta);
void batchnorm_gradient_sums(const Emulated&,
                             BatchNormShape,
                             ConstView x,
                             ConstView dy,
                             const float* mean,
                             const float* inv_std,
                             bool relu,
                             const void* saved,
                             float* dgamma,
                             float* dbeta);
void batchnorm_dx(const Cpu&,
                  BatchNormShape,
                  std::int64_t positions,
                  ConstView x,
                  ConstView dy,
                  const float* gamma,
                  const float* mean,
                  const float* inv_std,
                  const float* dgamma,
                  const float* dbeta,
                  bool training,
                  bool relu,
                  const void* saved,
                  View dx,
                  View dresidual);
void batchnorm_dx(const Cuda&,
                  BatchNormShape,
                  std::int64_t positions,
                  ConstView x,
                  ConstView dy,
                  const float* gamma,
                  const float* mean,
                  const float* inv_std,
                  const float* dgamma,
                  const float* dbeta,
                  bool training,
                  bool relu,
                  const void* saved,
                  View dx,
                  View dresidual);
void batchnorm_dx(const Emulated&,
                  BatchNormShape,
                  std::int64_t positions,
                  ConstView x,
                  ConstView dy,
                  const float* gamma,
                  const float* mean,
                  const float* inv_std,
                  const float* dgamma,
                  const float* dbeta,
                  bool training,
                  bool relu,
                  const void* saved,
                  View dx,
                  View dresidual);

}  // namespace clx::kernels
