// The only door between host code and kernels, and the CUDA language for both compilers: nvcc's own, or
// the emulator's under g++.
#pragma once

#include <cstddef>
#include <source_location>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "kernels/backend.h"

#ifdef __CUDACC__

#include "kernels/cuda/cuda_check.h"

#define CLX_GPU_TARGET cuda_target
#define CLX_SHARED(T, name, dims) __shared__ T name dims
#define CLX_DYNAMIC_SHARED(name)                                               \
  extern __shared__ __align__(1024) unsigned char clx_dynamic_shared_memory[]; \
  unsigned char* const name = clx_dynamic_shared_memory

#else

#include "kernels/cuda/emulator/language.h"
#include "kernels/cuda/emulator/notes.h"

/// The inline namespace of device templates in .cuh files, so that both targets can be in one program.
#define CLX_GPU_TARGET emulated_target

/// One static shared array: CLX_SHARED(float, tile, [16][17]);
#define CLX_SHARED(T, name, dims) auto& name = ::clx::emulator::shared_array<T dims, decltype([] {})>()

/// The dynamic shared memory of the launch as `unsigned char* name`, aligned to 1024 bytes.
#define CLX_DYNAMIC_SHARED(name) unsigned char* const name = ::clx::emulator::dynamic_shared()

#endif

namespace clx::kernels {

/// A launch with more dynamic shared memory asks for leave. A block has 48 KiB without, of which static
/// arrays and what aligns the dynamic memory to 1024 bytes are a part.
inline constexpr std::size_t kSharedWithoutLeave = 32 * 1024;

/// The blocks of a launch and the place in the host code that asked for them: converts from an integer
/// or a dim3 at the call of `launch`.
struct Grid {
  dim3 size;
  std::source_location where;
  Grid(unsigned x, std::source_location at = std::source_location::current()) : size(x), where(at) {}
  Grid(dim3 d, std::source_location at = std::source_location::current()) : size(d), where(at) {}
};

#ifdef __CUDACC__

/// The backend whose launchers this compilation defines.
using Gpu = Cuda;

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...),
            Grid grid,
            dim3 block,
            std::size_t smem_bytes,
            const Gpu& backend,
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "not the kernel's number of arguments");
  const auto where = [&] {
    return std::string(grid.where.file_name()) + ":" + std::to_string(grid.where.line());
  };
  if (smem_bytes > kSharedWithoutLeave) {
    const auto status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(smem_bytes));
    if (status != cudaSuccess) cuda_check(status, "shared memory of the kernel launched at " + where());
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid.size;
  config.blockDim = block;
  config.dynamicSmemBytes = smem_bytes;
  config.stream = backend.stream;
  auto status =
      cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...);
#ifndef NDEBUG
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  if (status == cudaSuccess) status = cudaStreamIsCapturing(backend.stream, &capture);
  if (status == cudaSuccess && capture == cudaStreamCaptureStatusNone)
    status = cudaStreamSynchronize(backend.stream);
#endif
  if (status != cudaSuccess) cuda_check(status, "kernel launched at " + where());
}

/// 10·major + minor of the device: 80 for A100, 90 for H100.
inline int compute_capability(const Gpu& backend) {
  int major = 0, minor = 0;
  cuda_check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, backend.index), "device");
  cuda_check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, backend.index), "device");
  return 10 * major + minor;
}

/// Whether the instructions of ptx_hopper.h are there: on Hopper, if the kernels were compiled for sm_90a;
/// what is compiled for sm_90 runs there, too, and has none.
inline bool has_hopper_instructions([[maybe_unused]] const Gpu& backend) {
#ifdef CLX_SM_90A
  return compute_capability(backend) == 90;
#else
  return false;
#endif
}

/// The number of multiprocessors, to size grids that loop over their work.
inline int multiprocessors(const Gpu& backend) {
  int count = 0;
  cuda_check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, backend.index), "device");
  return count;
}

#else

using Gpu = Emulated;

/// Runs (or, while the thread records, notes) `kernel` on `grid` blocks of `block` threads with `smem_bytes`
/// of dynamic shared memory, in the stream of `backend`. Arguments are converted to the kernel's parameter
/// types. Throws: std::runtime_error where the launch is refused (and, without NDEBUG, where the kernel
/// faults), with the place of the call.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...),
            Grid grid,
            dim3 block,
            std::size_t smem_bytes,
            const Gpu&,
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "not the kernel's number of arguments");
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
    Grid grid;
    dim3 block;
    std::size_t smem_bytes;

    void operator()() {
      if (emulator::runs_compiled()) {
        std::apply(
            [&](const auto&... parameters) {
              const emulator::Argument all[] = {{&parameters, sizeof parameters}..., {nullptr, 0}};
              emulator::run_compiled(grid.where, reinterpret_cast<const void*>(kernel), grid.size, block,
                                     smem_bytes, all, sizeof...(Parameters));
            },
            arguments);
        return;
      }
      emulator::run_grid(
          grid.where, grid.size, block, smem_bytes,
          [](void* p) {
            auto* c = static_cast<Call*>(p);
            std::apply(c->kernel, c->arguments);
          },
          this);
    }
  } call{kernel, std::tuple<Parameters...>(static_cast<Parameters>(std::forward<Arguments>(arguments))...),
         grid, block, smem_bytes};
  if (emulator::recording())
    emulator::note(call);
  else
    call();
}

inline int compute_capability(const Gpu&) {
  return emulator::compute_capability();
}
inline bool has_hopper_instructions(const Gpu& gpu) {
  return compute_capability(gpu) == 90;
}
inline int multiprocessors(const Gpu&) {
  return 4;
}

#endif

}  // namespace clx::kernels
