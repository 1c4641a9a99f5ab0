// Marks functions that both the host and a GPU call.
#pragma once

#ifdef __CUDACC__
#define CLX_HOST_DEVICE __host__ __device__
#else
#define CLX_HOST_DEVICE
#endif
