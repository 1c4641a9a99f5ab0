// From a tensor's device to a backend tag: the only `if` over devices in the project.
#pragma once

#include "kernels/backend.h"
#include "kernels/workspace.h"
#include "runtime/device.h"

namespace clx {

/// Whether this build has kernels compiled for GPUs.
#ifdef CLX_CUDA
inline constexpr bool kHasCuda = true;
#else
inline constexpr bool kHasCuda = false;
#endif

/// This thread's tag of a device: its stream and scratch memory, which starts afresh.
Cpu cpu_backend();
Cuda cuda_backend(int index);
/// The stream that this thread's work on one GPU is queued on: its lane's (runtime/lane.h), else the one of
/// all threads without a lane. Memory freed by one op of a stream may be given to its next.
CUstream_st* cuda_stream(int index);
Emulated emulated_backend();

[[noreturn]] void throw_no_cuda();

/// Calls `f` with the backend tag of `device`. The scratch memory of earlier calls may be reused: one
/// call is one op.
template <class F>
decltype(auto) on(Device device, F&& f) {
  switch (device.kind) {
    case DeviceKind::cuda:
      if constexpr (kHasCuda) return f(cuda_backend(device.index));
      throw_no_cuda();
    case DeviceKind::emulated:
      return f(emulated_backend());
    default:
      return f(cpu_backend());
  }
}

}  // namespace clx
