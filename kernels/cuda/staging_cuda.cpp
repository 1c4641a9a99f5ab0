// Page-locked memory for copies to NVIDIA GPUs, and events that say when it has been read.
#ifdef CLX_CUDA

#include "kernels/cuda/cuda_check.h"
#include "kernels/staging.h"

namespace clx::kernels {
namespace {

class CudaStagingBuffer final : public StagingBuffer {
 public:
  CudaStagingBuffer(CUstream_st* stream, std::size_t bytes) : stream_(stream) {
    cuda_check(cudaEventCreateWithFlags(&read_, cudaEventDisableTiming | cudaEventBlockingSync),
               "cudaEventCreate");
    if (const cudaError_t status = cudaHostAlloc(&memory_, bytes, cudaHostAllocDefault);
        status != cudaSuccess) {
      cudaEventDestroy(read_);
      cuda_check(status, "cudaHostAlloc");
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
    cuda_check(cudaEventSynchronize(read_), "cudaEventSynchronize");
    return memory_;
  }
  void send(std::size_t bytes, void* to) override {
    cuda_check(cudaMemcpyAsync(to, memory_, bytes, cudaMemcpyHostToDevice, stream_), "staged copy");
    cuda_check(cudaEventRecord(read_, stream_), "cudaEventRecord");
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
