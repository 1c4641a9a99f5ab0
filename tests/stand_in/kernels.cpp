// The kernels of a program, as nvcc's code registers them before main, and their launches.
#include <cstring>
#include <stdexcept>

#include "kernels/cuda/emulator/compiled_launch.h"
#include "tests/stand_in/gpu.h"

namespace clx::stand_in {
namespace {

// What a block may have after cudaFuncSetAttribute (CUDA C++ Programming Guide, technical specifications).
std::size_t shared_limit() {
  switch (settings().capability) {
    case 80:
    case 87:
      return 163 * 1024;
    case 86:
    case 89:
    case 120:
      return 99 * 1024;
    default:
      return 227 * 1024;
  }
}

int target() {
  return settings().capability == 90 ? 90 : 80;
}

// The allocations that the parameters point to; refuses those of another device, or the host's.
std::map<std::uintptr_t, std::size_t> memory_behind(const std::string& kernel,
                                                    void* const* arguments,
                                                    const std::vector<std::size_t>& bytes) {
  std::map<std::uintptr_t, std::size_t> found;
  for (std::size_t k = 0; k < bytes.size(); ++k)
    for (std::size_t at = 0; at + sizeof(void*) <= bytes[k]; at += sizeof(void*)) {
      const void* p = nullptr;
      std::memcpy(&p, static_cast<const char*>(arguments[k]) + at, sizeof p);
      const auto* memory = Gpus::all().allocation_of(p);
      if (!memory) continue;
      // The padding of a structure may hold a pointer of earlier days.
      if (memory->device != current_device() && bytes[k] == sizeof p)
        refuse(cudaErrorInvalidValue,
               kernel + ": parameter " + std::to_string(k) + " points to memory that is not its device's");
      if (memory->device == current_device()) found[memory->begin] = memory->bytes;
    }
  return found;
}

}  // namespace

Work kernel_launch(const void* function, const cudaLaunchConfig_t& config, void** arguments) {
  Gpus& gpus = Gpus::all();
  const auto found = gpus.kernels.find(function);
  if (found == gpus.kernels.end()) refuse(cudaErrorInvalidDeviceFunction, "a launch of no kernel");
  if (config.numAttrs) refuse(cudaErrorNotSupported, "a launch with attributes");
  emulator::CompiledLaunch launch;
  try {
    const dim3 grid = config.gridDim, block = config.blockDim;
    launch = emulator::compiled_launch(found->second, target(), {grid.x, grid.y, grid.z},
                                       {block.x, block.y, block.z}, config.dynamicSmemBytes, arguments);
  } catch (const std::runtime_error& error) {
    refuse(cudaErrorInvalidValue, error.what());
  }
  const auto memory = memory_behind(launch.kernel, arguments, launch.parameters);
  // Dynamic memory begins at a multiple of its alignment, which is ours (CLX_DYNAMIC_SHARED).
  const std::size_t dynamic = config.dynamicSmemBytes,
                    all = dynamic ? (launch.static_shared + 1023) / 1024 * 1024 + dynamic
                                  : launch.static_shared;
  const auto allowed = gpus.most_shared.find(function);
  if (all > 48 * 1024 && (allowed == gpus.most_shared.end() || allowed->second < dynamic))
    refuse(cudaErrorInvalidValue, launch.kernel + ": " + std::to_string(all) +
                                      " bytes of shared memory without leave for more than 48 KiB");
  if (all > shared_limit())
    refuse(cudaErrorInvalidValue, launch.kernel + ": " + std::to_string(all) +
                                      " bytes of shared memory, and a block of this GPU has " +
                                      std::to_string(shared_limit()));
  if (settings().log) {
    const dim3 grid = config.gridDim, block = config.blockDim;
    std::fprintf(settings().log, "%s\t%llu\t%u\t%zu\t", launch.kernel.c_str(),
                 static_cast<unsigned long long>(grid.x) * grid.y * grid.z, block.x * block.y * block.z, all);
    for (const auto& [begin, bytes] : memory)
      std::fprintf(settings().log, " %zx:%zu", begin, bytes);
    std::fputc('\n', settings().log);
  }
  return launch.run;
}

}  // namespace clx::stand_in

using clx::stand_in::Gpus;

// The names and types of CUDA's own headers (crt/host_runtime.h).
extern "C" {
void** __cudaRegisterFatBinary(void*);
void __cudaRegisterFatBinaryEnd(void**);
void __cudaUnregisterFatBinary(void**);
void __cudaRegisterFunction(void**, const char*, char*, const char*, int, uint3*, uint3*, dim3*, dim3*, int*);
unsigned __cudaPushCallConfiguration(dim3, dim3, std::size_t, CUstream_st*);
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, std::size_t*, void*);
cudaError_t __cudaGetKernel(cudaKernel_t*, const void*);
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, std::size_t, cudaStream_t);

void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(
    void**, const char* function, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*) {
  Gpus::all().kernels[function] = name;
}
// Of launches with <<<>>>, of which the project has none.
unsigned __cudaPushCallConfiguration(dim3, dim3, std::size_t, CUstream_st*) {
  return cudaErrorNotSupported;
}
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, std::size_t*, void*) {
  return cudaErrorNotSupported;
}
cudaError_t __cudaGetKernel(cudaKernel_t*, const void*) {
  return cudaErrorNotSupported;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, std::size_t, cudaStream_t) {
  return cudaErrorNotSupported;
}
}
