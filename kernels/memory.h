// Raw memory of each backend: allocate, free, copy.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/backend.h"

namespace clx::kernels {

/// Uninitialised memory aligned to 256 bytes. Throws std::bad_alloc where there is none left.
void* allocate(const Cpu&, std::size_t bytes);
void* allocate(const Cuda&, std::size_t bytes);
void* allocate(const Emulated&, std::size_t bytes);

void release(const Cpu&, void* p) noexcept;
void release(const Cuda&, void* p) noexcept;
void release(const Emulated&, void* p) noexcept;

/// Copies within one backend, in stream order.
void copy(const Cpu&, std::size_t bytes, const void* from, void* to);
void copy(const Cuda&, std::size_t bytes, const void* from, void* to);
void copy(const Emulated&, std::size_t bytes, const void* from, void* to);

/// Copies from host memory, which may be reused as soon as the call returns.
void copy_from_host(const Cpu&, std::size_t bytes, const void* from, void* to);
void copy_from_host(const Cuda&, std::size_t bytes, const void* from, void* to);
void copy_from_host(const Emulated&, std::size_t bytes, const void* from, void* to);

/// Copies to host memory and waits for it: on a GPU this is where the host waits for the device.
void copy_to_host(const Cpu&, std::size_t bytes, const void* from, void* to);
void copy_to_host(const Cuda&, std::size_t bytes, const void* from, void* to);
void copy_to_host(const Emulated&, std::size_t bytes, const void* from, void* to);

/// Sets every byte to zero, in stream order.
void zero(const Cpu&, std::size_t bytes, void* to);
void zero(const Cuda&, std::size_t bytes, void* to);
void zero(const Emulated&, std::size_t bytes, void* to);

/// Bytes of a GPU that nobody has allocated.
std::size_t free_memory(const Cuda&);

/// Whether a GPU is to be expected, usable or not: there is an NVIDIA driver, and CUDA_VISIBLE_DEVICES does
/// not hide all that it has. False in a build without kernels for GPUs.
bool cuda_expected();

/// Why GPU `index` cannot be used, as gpu_trouble (kernels/cuda/gpu_trouble.h) says it; "" if nothing
/// hinders.
std::string cuda_trouble(int index);

/// Makes device `index` the one that this thread's launches and libraries go to.
void use_cuda_device(int index);

/// Makes a stream of device `index` that is not ordered with the default stream.
CUstream_st* make_cuda_stream(int index);

/// Waits until all that was queued on the stream is done.
void wait_for_cuda_stream(CUstream_st* stream);

}  // namespace clx::kernels
