// Element by element: sum, ReLU, conversion, broadcast.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace clx::kernels {

/// y = a + c. One dtype (f32 or bf16); y may alias a or c.
void add(const Cpu&, std::int64_t n, ConstView a, ConstView c, View y);
void add(const Cuda&, std::int64_t n, ConstView a, ConstView c, View y);
void add(const Emulated&, std::int64_t n, ConstView a, ConstView c, View y);

/// y = max(x, 0). y may alias x. NaN stays NaN.
void relu_forward(const Cpu&, std::int64_t n, ConstView x, View y);
void relu_forward(const Cuda&, std::int64_t n, ConstView x, View y);
void relu_forward(const Emulated&, std::int64_t n, ConstView x, View y);

/// dx = dy where y > 0, else 0.
void relu_backward(const Cpu&, std::int64_t n, ConstView y, ConstView dy, View dx);
void relu_backward(const Cuda&, std::int64_t n, ConstView y, ConstView dy, View dx);
void relu_backward(const Emulated&, std::int64_t n, ConstView y, ConstView dy, View dx);

/// y = x in another dtype, f32 ↔ bf16 (round to nearest even).
void convert(const Cpu&, std::int64_t n, ConstView x, View y);
void convert(const Cuda&, std::int64_t n, ConstView x, View y);
void convert(const Emulated&, std::int64_t n, ConstView x, View y);

/// y[i] = value, f32 or bf16.
void fill(const Cpu&, std::int64_t n, float value, View y);
void fill(const Cuda&, std::int64_t n, float value, View y);
void fill(const Emulated&, std::int64_t n, float value, View y);

}  // namespace clx::kernels
