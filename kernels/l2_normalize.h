// Rows of unit length.
#pragma once

#include "kernels/backend.h"

namespace clx::kernels {

/// The shortest row that is divided by its own length: a shorter one is divided by this.
inline constexpr float kShortestRow = 1e-12f;

/// norm[i] = max(‖x_i‖, 1e-12), y_i = x_i/norm[i]. Squares are summed in f64.
void l2_normalize_forward(const Cpu&, int rows, int cols, const float* x, float* y, float* norm);
void l2_normalize_forward(const Cuda&, int rows, int cols, const float* x, float* y, float* norm);
void l2_normalize_forward(const Emulated&, int rows, int cols, const float* x, float* y, float* norm);

/// dx_i = (dy_i − y_i·(y_i·dy_i))/norm[i] where norm[i] > 1e-12, else dy_i/1e-12.
void l2_normalize_backward(
    const Cpu&, int rows, int cols, const float* y, const float* norm, const float* dy, float* dx);
void l2_normalize_backward(
    const Cuda&, int rows, int cols, const float* y, const float* norm, const float* dy, float* dx);
void l2_normalize_backward(
    const Emulated&, int rows, int cols, const float* y, const float* norm, const float* dy, float* dx);

}  // namespace clx::kernels
