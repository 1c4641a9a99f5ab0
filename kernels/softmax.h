// Row-wise softmax, cross-entropy on top of it, and the choice of one column per row.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace clx::kernels {

/// y[i,j] = exp(x[i,j] − m_i)/Σ_k exp(x[i,k] − m_i), m_i = max_k x[i,k].
void softmax_forward(const Cpu&, int rows, int cols, const float* x, float* y);
void softmax_forward(const Cuda&, int rows, int cols, const float* x, float* y);
void softmax_forward(const Emulated&, int rows, int cols, const float* x, float* y);

/// dx = y ⊙ (dy − Σ_j y·dy).
void softmax_backward(const Cpu&, int rows, int cols, const float* y, const float* dy, float* dx);
void softmax_backward(const Cuda&, int rows, int cols, const float* y, const float* dy, float* dx);
void softmax_backward(const Emulated&, int rows, int cols, const float* y, const float* dy, float* dx);

/// loss = (1/N)·Σ_i −Σ_k q_ik·log p_ik with p = softmax(logits), q_ik = (1 − smoothing)·1[k = labels_i] +
/// smoothing/K; correct = number of rows whose first largest logit is the label. Writes p (N,K), loss
/// (1) and correct (1); sums in a fixed order. Labels are in [0,K): the caller has checked.
void cross_entropy_forward(const Cpu&,
                           int N,
                           int K,
                           const float* logits,
                           const std::int32_t* labels,
                           float smoothing,
                           float* p,
                           float* loss,
                           std::int32_t* correct);
void cross_entropy_forward(const Cuda&,
                           int N,
                           int K,
                           const float* logits,
                           const std::int32_t* labels,
                           float smoothing,
                           float* p,
                           float* loss,
                           std::int32_t* correct);
void cross_entropy_forward(const Emulated&,
                           int N,
                           int K,
                           const float* logits,
                           const std::int32_t* labels,
                           float smoothing,
                           float* p,
                           float* loss,
                           std::int32_t* correct);

/// dlogits = (p − q)·(*dloss)/N.
void cross_entropy_backward(const Cpu&,
                            int N,
                            int K,
                            const float* p,
                            const std::int32_t* labels,
                            float smoothing,
                            const float* dloss,
                            float* dlogits);
void cross_entropy_backward(const Cuda&,
                            int N,
                            int K,
                            const float* p,
                            const std::int32_t* labels,
                            float smoothing,
                            const float* dloss,
                            float* dlogits);
void cross_entropy_backward(const Emulated&,
                            int N,
                            int K,
                            const float* p,
                            const std::int32_t* labels,
                            float smoothing,
                            const float* dloss,
                            float* dlogits);

/// y[i] = x[i, columns[i]].
void pick_forward(const Cpu&, int rows, int cols, const float* x, const std::int32_t* columns, float* y);
void pick_forward(const Cuda&, int rows, int cols, const float* x, const std::int32_t* columns, float* y);
void pick_forward(const Emulated&, int rows, int cols, const float* x, const std::int32_t* columns, float* y);

/// dx[i,j] = dy[i] where j = columns[i], else 0.
void pick_backward(const Cpu&, int rows, int cols, const std::int32_t* columns, const float* dy, float* dx);
void pick_backward(const Cuda&, int rows, int cols, const std::int32_t* columns, const float* dy, float* dx);
void pick_backward(
    const Emulated&, int rows, int cols, const std::int32_t* columns, const float* dy, float* dx);

}  // namespace clx::kernels
