// The CUDA runtime's errors as exceptions. Included where that runtime is.
#pragma once

#if defined(CLX_CUDA) || defined(__CUDACC__)

#include <cuda_runtime.h>
#include <new>
#include <stdexcept>
#include <string>

namespace clx::kernels {

/// Throws std::bad_alloc where there is no memory left, std::runtime_error with CUDA's text for every other
/// error.
template <class Text>
void cuda_check(cudaError_t status, const Text& what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not report it again
  if (status == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

}  // namespace clx::kernels

#endif
