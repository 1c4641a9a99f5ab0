// Marks functions that both the host and a GPU call.
#pragma once

#ifdef __CUDACC__
#define CLX_HOST_DEVICE __host__ __device__
#elif defined(CLX_RACE) && defined(__SANITIZE_THREAD__)
// In kernels the race detector must see what they do; the linker might choose the copy of another file.
#define CLX_HOST_DEVICE __attribute__((always_inline))
#else
#define CLX_HOST_DEVICE
#endif
