// Memory and streams of NVIDIA GPUs, through the CUDA runtime.
#include "kernels/memory.h"

#ifdef CLX_CUDA

#include <string>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/gpu_trouble.h"

namespace clx::kernels {

void* allocate(const Cuda& backend, std::size_t bytes) {
  void* p = nullptr;
  use_cuda_device(backend.index);
  cuda_check(cudaMalloc(&p, bytes ? bytes : 1), "cudaMalloc");
  return p;
}

void release(const Cuda&, void* p) noexcept {
  cudaFree(p);
}

void copy(const Cuda& backend, std::size_t bytes, const void* from, void* to) {
  cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, backend.stream), "copy");
}

void copy_from_host(const Cuda& backend, std::size_t bytes, const void* from, void* to) {
  // From pageable memory the runtime stages the bytes before it returns.
  cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, backend.stream), "copy_from_host");
}

void copy_to_host(const Cuda& backend, std::size_t bytes, const void* from, void* to) {
  cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, backend.stream), "copy_to_host");
  cuda_check(cudaStreamSynchronize(backend.stream), "copy_to_host");
}

void zero(const Cuda& backend, std::size_t bytes, void* to) {
  cuda_check(cudaMemsetAsync(to, 0, bytes, backend.stream), "zero");
}

std::size_t free_memory(const Cuda& backend) {
  std::size_t free = 0, all = 0;
  use_cuda_device(backend.index);
  cuda_check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
  return free;
}

std::string cuda_trouble(int index) {
  GpuFacts facts;
  const cudaError_t status = cudaGetDeviceCount(&facts.count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    facts.error = cudaGetErrorString(status);
    facts.count = 0;
  }
  cudaDriverGetVersion(&facts.driver);
  cudaRuntimeGetVersion(&facts.runtime);
  cudaDeviceProp properties;
  if (index < facts.count && cudaGetDeviceProperties(&properties, index) == cudaSuccess) {
    facts.name = properties.name;
    facts.capability = 10 * properties.major + properties.minor;
  }
  return gpu_trouble(facts, index, CLX_CUDA_ARCHITECTURES);
}

void use_cuda_device(int index) {
  cuda_check(cudaSetDevice(index), "cudaSetDevice");
}

CUstream_st* make_cuda_stream(int index) {
  cudaStream_t stream = nullptr;
  use_cuda_device(index);
  cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}

void wait_for_cuda_stream(CUstream_st* stream) {
  cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

}  // namespace clx::kernels

#else

namespace clx::kernels {

std::string cuda_trouble(int) {
  return "expected a build with kernels for GPUs (nvcc was not found when it was built), got none; --device "
         "cpu works "
         "without";
}

}  // namespace clx::kernels

#endif
