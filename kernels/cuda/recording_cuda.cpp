// Recordings of NVIDIA GPUs: CUDA graphs, captured from a stream.
#ifdef CLX_CUDA

#include <cuda_runtime.h>
#include <stdexcept>
#include <string>

#include "kernels/recording.h"

namespace clx::kernels {
namespace {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

class CudaRecording final : public Recording {
 public:
  explicit CudaRecording(cudaGraph_t graph) {
    const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "cudaGraphInstantiate");
  }
  ~CudaRecording() override { cudaGraphExecDestroy(executable); }

  cudaGraphExec_t executable = nullptr;
};

}  // namespace

// Relaxed: memory may be allocated meanwhile, by this thread and by those that load images.
void begin_recording(const Cuda& backend) {
  check(cudaStreamBeginCapture(backend.stream, cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture");
}

std::unique_ptr<Recording> end_recording(const Cuda& backend) {
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(backend.stream, &graph);
  if (status != cudaSuccess) cudaGetLastError();  // must not be reported again by the next call
  check(status, "cudaStreamEndCapture");
  return std::make_unique<CudaRecording>(graph);
}

void repeat(const Cuda& backend, Recording& recording) {
  check(cudaGraphLaunch(static_cast<CudaRecording&>(recording).executable, backend.stream),
        "cudaGraphLaunch");
}

}  // namespace clx::kernels

#endif
