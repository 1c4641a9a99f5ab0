// Memory and streams of NVIDIA GPUs, through the CUDA runtime.
#include "kernels/memory.h"

#ifdef CLX_CUDA

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/gpu_trouble.h"

namespace clx::kernels {
namespace {

// Whether copies read the host's memory where it lies, when their turn in the stream comes: where GPU and CPU
// share page tables (Grace Hopper). Elsewhere the driver has read pageable memory when the call returns.
bool reads_pageable_memory(int index) {
  static std::mutex mutex;
  static std::map<int, bool> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find(index);
  if (found != known.end()) return found->second;
  cudaDeviceProp properties;
  cuda_check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  return known[index] = properties.pageableMemoryAccessUsesHostPageTables != 0;
}

}  // namespace

void* allocate(const Cuda& backend, std::size_t bytes) {
  void* p = nullptr;
  use_cuda_device(backend.index);
  cuda_check(cudaMalloc(&p, bytes ? bytes : 1), "cudaMalloc");
  return p;
}

void release(const Cuda& backend, void* p) noexcept {
  cudaSetDevice(backend.index);  // in a thread without one the runtime would begin to use GPU 0
  cudaFree(p);
}

void copy(const Cuda& backend, std::size_t bytes, const void* from, void* to) {
  cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, backend.stream), "copy");
}

void copy_from_host(const Cuda& backend, std::size_t bytes, const void* from, void* to) {
  cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, backend.stream), "copy_from_host");
  if (reads_pageable_memory(backend.index)) wait_for_cuda_stream(backend.stream);
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

bool cuda_expected() {
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible && (!*visible || std::string_view(visible) == "-1")) return false;
  int driver = 0;
  cudaDriverGetVersion(&driver);
  return driver != 0;
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

bool cuda_expected() {
  return false;
}

std::string cuda_trouble(int) {
  return "expected a build with kernels for GPUs (nvcc was not found when it was built), got none";
}

}  // namespace clx::kernels

#endif
