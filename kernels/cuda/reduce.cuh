// Sums and maxima over a warp and over a block, always in the same order.
// Included by kernels/cuda/*.cu only.
#pragma once

#include "kernels/cuda/launch.h"

namespace clx::kernels {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;

/// Σ over the 32 lanes, in every lane. Butterfly: all lanes get the same bits.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_xor_sync(kAllLanes, value, offset);
  return value;
}

/// The largest of 32 values; NaN only if all are.
template <class T>
__device__ __forceinline__ T warp_max(T value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

/// Σ over the threads of a block of kThreads (one dimension, ≤ 1024), in every thread.
template <int kThreads, class T>
__device__ T block_sum(T value) {
  static_assert(kThreads % 32 == 0 && kThreads <= 1024);
  CLX_SHARED(T, part, [32]);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  value = warp_sum(value);
  if (lane == 0) part[warp] = value;
  __syncthreads();  // every warp's part is written
  value = warp_sum(lane < kThreads / 32 ? part[lane] : T(0));
  __syncthreads();  // all parts are read: the next call may write them
  return value;
}

/// The largest value of the threads of a block, in every thread; NaN only if all are.
template <int kThreads>
__device__ float block_max(float value) {
  static_assert(kThreads % 32 == 0 && kThreads <= 1024);
  CLX_SHARED(float, part, [kThreads / 32]);
  value = warp_max(value);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = value;
  __syncthreads();  // every warp's part is written
  for (int warp = 0; warp < kThreads / 32; ++warp)
    value = fmaxf(value, part[warp]);
  __syncthreads();  // all parts are read: the next call may write them
  return value;
}

}  // namespace
}  // namespace clx::kernels
