// Recordings of NVIDIA GPUs: CUDA graphs, captured from a stream.
#ifdef CLX_CUDA

#include "kernels/cuda/cuda_check.h"
#include "kernels/recording.h"

namespace clx::kernels {
namespace {

class CudaRecording final : public Recording {
 public:
  explicit CudaRecording(cudaGraph_t graph) {
    const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    cuda_check(status, "cudaGraphInstantiate");
  }
  ~CudaRecording() override { cudaGraphExecDestroy(executable); }

  cudaGraphExec_t executable = nullptr;
};

}  // namespace

// Relaxed: memory may be allocated meanwhile, by this thread and by those that load images.
void begin_recording(const Cuda& backend) {
  cuda_check(cudaStreamBeginCapture(backend.stream, cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture");
}

std::unique_ptr<Recording> end_recording(const Cuda& backend) {
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(backend.stream, &graph);
  cuda_check(status, "cudaStreamEndCapture");
  return std::make_unique<CudaRecording>(graph);
}

void repeat(const Cuda& backend, Recording& recording) {
  cuda_check(cudaGraphLaunch(static_cast<CudaRecording&>(recording).executable, backend.stream),
             "cudaGraphLaunch");
}

}  // namespace clx::kernels

#endif
