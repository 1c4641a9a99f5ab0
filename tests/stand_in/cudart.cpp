// The functions of CUDA's runtime that the project calls, for GPUs made of the host. They refuse what CUDA
// refuses, and what it allows but the project never means.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <utility>

#include "kernels/memory.h"
#include "tests/stand_in/gpu.h"
#include "tests/stand_in/tensor_map.h"

using namespace clx::stand_in;
using clx::Emulated;

struct CUstream_st : Stream {};
struct CUevent_st : Event {};
struct CUgraph_st {
  std::shared_ptr<Graph> graph;
};
struct CUgraphExec_st {
  std::shared_ptr<Graph> graph;
};

namespace {

thread_local cudaError_t last_error = cudaSuccess;

template <class F>
cudaError_t call(F f) {
  const std::lock_guard lock(Gpus::all().mutex);
  cudaError_t code = Gpus::all().failed;
  if (code == cudaSuccess) try {
      f();
    } catch (cudaError_t refused) {
      code = refused;
    }
  if (code != cudaSuccess) last_error = code;
  return code;
}

Stream& stream_at(cudaStream_t stream) {
  if (!stream) refuse(cudaErrorInvalidResourceHandle, "work on the default stream");
  return *stream;
}

void require_not_capturing(const Stream& stream, const char* what) {
  if (stream.capture) refuse(cudaErrorStreamCaptureUnsupported, std::string(what) + ": the stream captures");
}

// Of a device, all of it within one allocation.
void require_device_memory(const void* p, std::size_t bytes, const Stream& stream, const char* what) {
  const auto* memory = bytes ? Gpus::all().allocation_of(p) : nullptr;
  const auto* end = bytes ? Gpus::all().allocation_of(static_cast<const char*>(p) + bytes - 1) : nullptr;
  if (bytes && (!memory || memory != end || memory->device != stream.device))
    refuse(cudaErrorInvalidValue, std::string(what) + ": not memory of the stream's device");
}

bool page_locked(const void* p) {
  const auto* memory = Gpus::all().allocation_of(p);
  return memory && memory->device < 0;
}

void copy_from_host(Stream& stream, void* to, const void* from, std::size_t bytes) {
  if (Gpus::all().allocation_of(from) && !page_locked(from))
    refuse(cudaErrorInvalidValue, "a copy from the host out of memory of a device");
  if (page_locked(from)) return enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  // Each replay would read what may be gone by then.
  require_not_capturing(stream, "a copy from pageable memory");
  const auto staged = std::make_shared<std::vector<char>>(bytes);
  std::memcpy(staged->data(), from, bytes);
  enqueue(stream, [=] { std::memcpy(to, staged->data(), bytes); });
}

void copy_to_host(Stream& stream, void* to, const void* from, std::size_t bytes) {
  enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  if (settings().log) std::memset(to, 1, bytes);
  if (page_locked(to)) return;
  require_not_capturing(stream, "a copy to pageable memory");
  run_all(stream);
}

}  // namespace

extern "C" {

cudaError_t cudaGetLastError() {
  const cudaError_t failed = Gpus::all().failed;
  return std::exchange(last_error, failed);
}

const char* cudaGetErrorString(cudaError_t code) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    default:
      return "refused";
  }
}

cudaError_t cudaDriverGetVersion(int* version) {
  return call([&] { *version = CUDART_VERSION; });
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  return call([&] { *version = CUDART_VERSION; });
}
cudaError_t cudaGetDeviceCount(int* count) {
  return call([&] {
    *count = settings().gpus;
    if (*count == 0) throw cudaErrorNoDevice;
  });
}
cudaError_t cudaSetDevice(int device) {
  return call([&] {
    if (device < 0 || device >= settings().gpus) refuse(cudaErrorInvalidDevice, "no such device");
    current_device() = device;
  });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call([&] {
    if (device < 0 || device >= settings().gpus) refuse(cudaErrorInvalidDevice, "no such device");
    *properties = {};
    std::strcpy(properties->name, "stand-in for a GPU");
    properties->major = settings().capability / 10;
    properties->minor = settings().capability % 10;
    properties->totalGlobalMem = settings().memory;
  });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  return call([&] {
    switch (attribute) {
      case cudaDevAttrComputeCapabilityMajor:
        *value = settings().capability / 10;
        break;
      case cudaDevAttrComputeCapabilityMinor:
        *value = settings().capability % 10;
        break;
      case cudaDevAttrMultiProcessorCount:
        *value = settings().log ? 132 : 4;  // of an H100; few where they are interpreted
        break;
      default:
        refuse(cudaErrorNotSupported, "an attribute that the stand-in does not know");
    }
  });
}

// ------------------------------------------------------------------------------------------ memory
cudaError_t cudaMalloc(void** p, std::size_t bytes) {
  return call([&] {
    require_no_strict_capture("cudaMalloc");
    Gpus& gpus = Gpus::all();
    std::size_t& used = gpus.used[current_device()];
    if (bytes > settings().memory - used) throw cudaErrorMemoryAllocation;
    if (settings().log)
      *p = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    else
      *p = clx::kernels::allocate(Emulated{}, bytes);
    used += bytes;
    gpus.most_used = std::max(gpus.most_used, used);
    const auto begin = reinterpret_cast<std::uintptr_t>(*p);
    gpus.allocations[begin] = {begin, bytes, current_device()};
  });
}
cudaError_t cudaFree(void* p) {
  return call([&] {
    if (!p) return;
    require_no_strict_capture("cudaFree");
    Gpus& gpus = Gpus::all();
    const auto found = gpus.allocations.find(reinterpret_cast<std::uintptr_t>(p));
    if (found == gpus.allocations.end() || found->second.device < 0)
      refuse(cudaErrorInvalidValue, "cudaFree of what cudaMalloc did not give");
    for (Stream* stream : gpus.streams)  // it waits for all that may use the memory
      run_all(*stream);
    gpus.used[found->second.device] -= found->second.bytes;
    if (settings().log)
      ::munmap(p, found->second.bytes);
    else
      clx::kernels::release(Emulated{}, p);
    gpus.allocations.erase(found);
  });
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call([&] {
    *total = settings().memory;
    *free = *total - Gpus::all().used[current_device()];
  });
}
cudaError_t cudaHostAlloc(void** p, std::size_t bytes, unsigned) {
  return call([&] {
    require_no_strict_capture("cudaHostAlloc");
    *p = std::malloc(bytes);
    if (!*p) throw cudaErrorMemoryAllocation;
    const auto begin = reinterpret_cast<std::uintptr_t>(*p);
    Gpus::all().allocations[begin] = {begin, bytes, -1};
  });
}
cudaError_t cudaFreeHost(void* p) {
  return call([&] {
    if (!p) return;
    require_no_strict_capture("cudaFreeHost");
    if (!page_locked(p)) refuse(cudaErrorInvalidValue, "cudaFreeHost of what cudaHostAlloc did not give");
    for (Stream* stream : Gpus::all().streams)
      run_all(*stream);
    Gpus::all().allocations.erase(reinterpret_cast<std::uintptr_t>(p));
    std::free(p);
  });
}
cudaError_t cudaMemcpyAsync(
    void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
  return call([&] {
    Stream& stream = stream_at(handle);
    if (kind != cudaMemcpyHostToDevice) require_device_memory(from, bytes, stream, "source of a copy");
    if (kind != cudaMemcpyDeviceToHost) require_device_memory(to, bytes, stream, "target of a copy");
    switch (kind) {
      case cudaMemcpyHostToDevice:
        return copy_from_host(stream, to, from, bytes);
      case cudaMemcpyDeviceToHost:
        return copy_to_host(stream, to, from, bytes);
      case cudaMemcpyDeviceToDevice:
        return enqueue(stream, [=] { std::memmove(to, from, bytes); });
      default:
        refuse(cudaErrorNotSupported, "a copy of a kind that the stand-in does not know");
    }
  });
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t handle) {
  return call([&] {
    Stream& stream = stream_at(handle);
    require_device_memory(to, bytes, stream, "target of a memset");
    enqueue(stream, [=] { std::memset(to, value, bytes); });
  });
}

// ------------------------------------------------------------------------------------------ streams, events
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* made, unsigned) {
  return call([&] {
    *made = new CUstream_st;
    (*made)->device = current_device();
    Gpus::all().streams.push_back(*made);
  });
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return call([&] {
    Stream& stream = stream_at(handle);
    require_not_capturing(stream, "cudaStreamSynchronize");
    run_all(stream);
  });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* made, unsigned) {
  return call([&] {
    *made = new CUevent_st;
    (*made)->device = current_device();
  });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call([&] { delete event; });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  return call([&] {
    Stream& stream = stream_at(handle);
    if (event->device != stream.device)
      refuse(cudaErrorInvalidResourceHandle, "an event of one device on a stream of another");
    event->stream = &stream;
    event->at = stream.queued;
    event->captured = stream.capture != nullptr;
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call([&] {
    if (event->captured) refuse(cudaErrorCapturedEvent, "a wait for an event that was captured");
    if (event->stream) run_until(*event->stream, event->at);
  });
}

// ------------------------------------------------------------------------------------------ graphs
cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return call([&] {
    Stream& stream = stream_at(handle);
    require_not_capturing(stream, "cudaStreamBeginCapture");
    stream.capture = std::make_shared<Graph>(Graph{stream.device, {}});
    stream.mode = mode;
    stream.capturing_thread = std::this_thread::get_id();
  });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return call([&] {
    *status = stream_at(handle).capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  });
}
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return call([&] {
    Stream& stream = stream_at(handle);
    if (!stream.capture) refuse(cudaErrorIllegalState, "cudaStreamEndCapture: the stream does not capture");
    if (stream.capturing_thread != std::this_thread::get_id() && stream.mode != cudaStreamCaptureModeRelaxed)
      refuse(cudaErrorStreamCaptureWrongThread, "cudaStreamEndCapture by another thread");
    *graph = new CUgraph_st{std::exchange(stream.capture, nullptr)};
  });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  return call([&] { *made = new CUgraphExec_st{graph->graph}; });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call([&] { delete graph; });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return call([&] { delete executable; });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  return call([&] {
    Stream& stream = stream_at(handle);
    require_not_capturing(stream, "cudaGraphLaunch");
    if (executable->graph->device != stream.device)
      refuse(cudaErrorInvalidValue, "a graph of one device on a stream of another");
    enqueue(stream, [graph = executable->graph] {
      for (const Work& node : graph->nodes)
        node();
    });
  });
}

// ------------------------------------------------------------------------------------------ kernels
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return call([&] {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
      refuse(cudaErrorNotSupported, "an attribute that the stand-in does not know");
    Gpus::all().most_shared[function] = static_cast<std::size_t>(value);
  });
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return call([&] {
    Stream& stream = stream_at(config->stream);
    if (stream.device != current_device())
      refuse(cudaErrorInvalidResourceHandle, "a launch on a stream of another device");
    enqueue(stream, kernel_launch(function, *config, arguments));
  });
}
cudaError_t cudaGetDriverEntryPointByVersion(
    const char* name, void** function, unsigned, unsigned long long, cudaDriverEntryPointQueryResult* found) {
  return call([&] {
    *function = std::strcmp(name, "cuTensorMapEncodeTiled") == 0 ? tensor_map_encoder() : nullptr;
    if (found) *found = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  });
}

}  // extern "C"
