// Page-locked memory for copies to NVIDIA GPUs, and events that say when it has been read.
#ifdef CLX_CUDA

#include <cuda_runtime.h>
#include <stdexcept>
#include <string>

#include "kernels/staging.h"

namespace clx::kernels {
namespace {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

class CudaStagingBuffer final : public StagingBuffer {
 public:
  CudaStagingBuffer(CUstream_st* stream, std::size_t bytes) : stream_(stream) {
    check(cudaEventCreateWithFlags(&read_, cudaEventDisableTiming | cudaEventBlockingSync),
          "cudaEventCreate");
    if (const cudaError_t status = cudaHostAlloc(&memory_, bytes, cudaHostAllocDefault);
        status != cudaSuccess) {
      cudaEventDestroy(read_);
      check(status, "cudaHostAlloc");
    }
  }
  ~CudaStagingBuffer() override {
    cudaEventSynchronize(read_);
    cudaEventDestroy(read_);
    cudaFreeHost(memory_);
  }
  CudaStagingBuffer(const CudaStagingBuffer&) = delete;
  CudaStagingBuffer& operator=(const CudaStagingBuffer&) = delete;

  void* open() override {
    check(cudaEventSynchronize(read_), "cudaEventSynchronize");
    return memory_;
  }
  void send(std::size_t bytes, void* to) override {
    check(cudaMemcpyAsync(to, memory_, bytes, cudaMemcpyHostToDevice, stream_), "staged copy");
    check(cudaEventRecord(read_, stream_), "cudaEventRecord");
  }

 private:
  CUstream_st* stream_;
  cudaEvent_t read_ = nullptr;  // after the last copy
  void* memory_ = nullptr;
};

}  // namespace

std::unique_ptr<StagingBuffer> make_staging_buffer(const Cuda& backend, std::size_t bytes) {
  return std::make_unique<CudaStagingBuffer>(backend.stream, bytes);
}

}  // namespace clx::kernels

#endif
