// Kernels that break one rule each. The emulator must report them.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/ptx_hopper.h"

namespace clx::kernels {
namespace {

__global__ void divergent_barrier(float* x) {
  const int t = threadIdx.x;
  if (t < 64) {
    __syncthreads();
    x[t] = 1;
  } else {
    x[t] = 2;
    __syncthreads();
  }
}

__global__ void partial_barrier(float* x) {
  if (threadIdx.x < 64) __syncthreads();
  x[threadIdx.x] = 1;
}

__global__ void early_return(float* x, int n) {
  const int t = threadIdx.x;
  if (t >= n) return;
  __syncthreads();
  x[t] = 1;
}

__global__ void missing_barrier(float* x) {
  CLX_SHARED(float, s, [128]);
  s[threadIdx.x] = static_cast<float>(threadIdx.x);
  x[threadIdx.x] = s[127 - threadIdx.x];
}

// The second use of `s` may begin while a slow warp still reads the first.
__global__ void missing_second_barrier(float* x) {
  CLX_SHARED(float, s, [1]);
  float sum = 0;
  for (int i = 0; i < 4; ++i) {
    if (threadIdx.x == 0) s[0] = static_cast<float>(i);
    __syncthreads();
    sum += s[0];
  }
  x[threadIdx.x] = sum;
}

__global__ void missing_syncwarp(float* x) {
  CLX_SHARED(float, s, [128]);
  s[threadIdx.x] = static_cast<float>(threadIdx.x);
  x[threadIdx.x] = s[threadIdx.x ^ 1];
}

__global__ void half_warp_shuffle(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

__global__ void shuffle_outside_mask(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffu, 1.0f, 16);
}

__global__ void lane_outside_its_mask(float* x) {
  x[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 0);
}

__global__ void mma_on_two_paths(float* x) {
  float d[4] = {};
  const std::uint32_t a[4] = {}, b[2] = {};
  if (threadIdx.x < 16)
    ptx::mma_m16n8k16_bf16(d, a, b);
  else
    ptx::mma_m16n8k16_bf16(d, a, b);
  x[threadIdx.x] = d[0];
}

__global__ void uninitialised_shared(float* x) {
  CLX_SHARED(float, s, [128]);
  if (threadIdx.x != 5) s[threadIdx.x] = 1;
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x] * 0.0f;
}

__global__ void uninitialised_global(float* x, const float* never_written) {
  x[threadIdx.x] = never_written[threadIdx.x] * 0.0f;
}

__global__ void past_static_shared(float* x, int offset) {
  CLX_SHARED(float, s, [128]);
  s[threadIdx.x] = 0;
  __syncthreads();
  if (threadIdx.x == 127) s[static_cast<int>(threadIdx.x) + offset] = 1;
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x];
}

__global__ void past_dynamic_shared(float* x) {
  CLX_DYNAMIC_SHARED(memory);
  float* const s = reinterpret_cast<float*>(memory);
  s[threadIdx.x + 1] = 1;
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x + 1];
}

__global__ void past_global(float* x, int n) {
  x[static_cast<int>(threadIdx.x) + n - 64] = 1;
}

// y[i] = Σ x[i−1 … i+1], as if there were neighbours at both ends.
__global__ void missing_padding_check(const float* x, float* y) {
  const int t = threadIdx.x;
  y[t] = x[t - 1] + x[t] + x[t + 1];
}

// Rows of four chunks of 16 bytes: stored with one permutation, loaded with another unless `shift` is 0.
__global__ void wrong_swizzle(const std::uint16_t* x, int shift, std::uint32_t* y) {
  CLX_SHARED(std::uint16_t, tile, [32 * 32]);
  const int t = threadIdx.x;
  for (int i = 0; i < 32; ++i)
    tile[t * 32 + ((i / 8) ^ (t & 3)) * 8 + i % 8] = x[t * 32 + i];
  __syncwarp();
  std::uint32_t r[4];
  ptx::ldmatrix_x4(r, tile + t * 32 + ((t >> shift) & 3) * 8);
  for (int i = 0; i < 4; ++i)
    y[i * 32 + t] = r[i];
}

// The parts of a sum are added as the blocks come.
__global__ void split_sum_in_any_order(float* x) {
  const float part = blockIdx.x == 0 ? 1e8f : blockIdx.x == 1 ? -1e8f : 1.0f;
  if (threadIdx.x == 0) atomicAdd(x, part);
}

__global__ void misaligned_atomic(float* x) {
  atomicAdd(reinterpret_cast<unsigned*>(reinterpret_cast<char*>(x) + 2), 1u);
}

__global__ void blocks_race(float* x) {
  x[threadIdx.x] = static_cast<float>(blockIdx.x);
}

__global__ void plain_beside_atomic(float* x) {
  if (blockIdx.x == 0 && threadIdx.x == 0)
    x[0] += 1;
  else
    atomicAdd(x, 1.0f);
}

__global__ void missing_cp_async_wait(float* x) {
  CLX_SHARED(float, s, [128 * 4]);
  ptx::cp_async_16(s + threadIdx.x * 4, x + threadIdx.x * 4);
  ptx::cp_async_commit();
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x * 4];
}

// Waits, but only its own copies are done then; the neighbour's needs a barrier.
__global__ void missing_barrier_after_wait(const float* x, float* y) {
  CLX_SHARED(float, s, [128 * 4]);
  ptx::cp_async_16(s + threadIdx.x * 4, x + threadIdx.x * 4);
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  y[threadIdx.x] = s[(127 - threadIdx.x) * 4];
}

__global__ void misaligned_cp_async(float* x) {
  CLX_SHARED(float, s, [128 * 4]);
  ptx::cp_async_16(s + threadIdx.x, x);
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
}

__global__ void ldmatrix_past_its_array(float* x) {
  CLX_SHARED(float, s, [31 * 4]);
  std::uint32_t r[4];
  ptx::ldmatrix_x4(r, s + threadIdx.x * 4);
  x[threadIdx.x] = __uint_as_float(r[0]);
}

__global__ void unequal_barrier_counts(float* x) {
  ptx::named_barrier_sync(1, threadIdx.x < 64 ? 128 : 64);
  x[threadIdx.x] = 1;
}

__global__ void waits_for_a_phase_that_never_ends(float* x) {
  CLX_SHARED(std::uint64_t, barrier, [1]);
  if (threadIdx.x == 0) ptx::mbarrier_init(barrier, 2);
  __syncthreads();
  if (threadIdx.x == 0) ptx::mbarrier_arrive(barrier);
  ptx::mbarrier_wait(barrier, 0);
  x[threadIdx.x] = 1;
}

__global__ void uses_an_mbarrier_before_its_init(float* x) {
  CLX_SHARED(std::uint64_t, barrier, [1]);
  ptx::mbarrier_wait(barrier, 0);
  x[threadIdx.x] = 1;
}

/// An operand of wgmma that is zero: stores of the generic proxy, with or without the fence they need.
__device__ __forceinline__ std::uint64_t zero_operand(bool fence) {
  CLX_DYNAMIC_SHARED(memory);
  for (int i = threadIdx.x; i < 2 * 8192 / 4; i += 128)
    reinterpret_cast<float*>(memory)[i] = 0;
  if (fence) ptx::fence_proxy_async();
  __syncthreads();
  return ptx::wgmma_descriptor(ptx::shared_address(memory), 16, 1024, ptx::Swizzle::bytes_128);
}

// Stores of the generic proxy, read by wgmma without a proxy fence between; right by luck here.
__global__ void missing_proxy_fence(float* x) {
  const auto a = zero_operand(false);
  float d[32];
  ptx::wgmma_fence();
  ptx::wgmma_m64k16_bf16<false, false>(d, a, a, false);
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  x[threadIdx.x] = d[0];
}

__global__ void missing_wgmma_wait(float* x) {
  const auto a = zero_operand(true);
  float d[32];
  ptx::wgmma_fence();
  ptx::wgmma_m64k16_bf16<false, false>(d, a, a, false);
  ptx::wgmma_commit();
  x[threadIdx.x] = d[0];
}

// Waits for the first of two groups and reads the second.
__global__ void wgmma_wait_for_too_few(float* x) {
  const auto a = zero_operand(true);
  float first[32], second[32];
  ptx::wgmma_fence();
  ptx::wgmma_m64k16_bf16<false, false>(first, a, a, false);
  ptx::wgmma_commit();
  ptx::wgmma_m64k16_bf16<false, false>(second, a, a, false);
  ptx::wgmma_commit();
  ptx::wgmma_wait<1>();
  x[threadIdx.x] = first[0];
  x[128 + threadIdx.x] = second[0];
  ptx::wgmma_wait<0>();
}

__global__ void too_much_shared(float* x) {
  CLX_SHARED(float, s, [60000]);
  s[threadIdx.x] = 1;
  x[threadIdx.x] = s[threadIdx.x];
}

__global__ void much_static_shared(float* x) {
  CLX_SHARED(float, s, [5000]);
  s[threadIdx.x] = 1;
  x[threadIdx.x] = s[threadIdx.x];
}

#ifndef __CUDACC__
__global__ void throws(float*) {
  throw std::runtime_error("no exceptions on a device");
}
#endif

// Right: waits for a flag politely, so that the writer gets its turn.
__global__ void polite_spin(volatile int* flag, float* x) {
  if (threadIdx.x == 0) {
    while (*flag == 0)
      __nanosleep(100);
  } else if (threadIdx.x == 127) {
    *flag = 1;
  }
  x[threadIdx.x] = 1;
}

}  // namespace
}  // namespace clx::kernels
