// Matrix products by cuBLASLt.
#pragma once

#include <stdexcept>

#include "kernels/matmul.h"

namespace clx::kernels {

/// Contract as of matmul, by the algorithm that cuBLASLt's heuristics put first.
/// Throws    std::runtime_error if the library is missing or knows no algorithm
void cublas_matmul(
    const Cuda&, const MatmulShape&, Math, ConstView A, ConstView B, const float* bias, float* C);

/// The library runs on GPUs alone; the callers' callers have seen to it that this is never called.
template <class... Arguments>
void cublas_matmul(const Emulated&, const Arguments&...) {
  throw std::logic_error("cuBLAS: expected a GPU, got the emulator");
}

}  // namespace clx::kernels
