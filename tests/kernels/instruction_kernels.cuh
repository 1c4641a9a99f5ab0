// Small kernels that use each part of launch.h, ptx.h and ptx_hopper.h, with their launchers.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/ptx_hopper.h"

namespace clx::kernels {
namespace {

// C (M,N) = A (M,K) · B (K,N): a 16×16 tile per block, one output per thread.
__global__ void matmul_kernel(int M, int N, int K, const float* A, const float* B, float* C) {
  CLX_SHARED(float, a, [16][17]);
  CLX_SHARED(float, b, [16][16]);
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * 16 + y, col = blockIdx.x * 16 + x;
  float sum = 0;
  for (int k0 = 0; k0 < K; k0 += 16) {
    a[y][x] = row < M && k0 + x < K ? A[row * K + k0 + x] : 0.0f;
    b[y][x] = k0 + y < K && col < N ? B[(k0 + y) * N + col] : 0.0f;
    __syncthreads();  // tiles are complete
    for (int k = 0; k < 16; ++k)
      sum += a[y][k] * b[k][x];
    __syncthreads();  // tiles may be overwritten
  }
  if (row < M && col < N) C[row * N + col] = sum;
}
inline void matmul(const Gpu& gpu, int M, int N, int K, const float* A, const float* B, float* C) {
  launch(matmul_kernel, dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16), 0, gpu, M, N, K, A, B, C);
}

// out[0] += Σ x over blocks, a tree in dynamic shared memory and a shuffle for the last warp.
__global__ void sum_kernel(int n, const float* x, float* out) {
  CLX_DYNAMIC_SHARED(memory);
  float* const partial = reinterpret_cast<float*>(memory);
  const int t = threadIdx.x, i = blockIdx.x * blockDim.x + t, threads = blockDim.x;
  partial[t] = i < n ? x[i] : 0.0f;
  __syncthreads();
  for (int half = threads / 2; half >= 32; half /= 2) {
    if (t < half) partial[t] += partial[t + half];
    __syncthreads();
  }
  if (t < 32) {
    float v = partial[t];
    for (int o = 16; o > 0; o /= 2)
      v += __shfl_down_sync(0xffffffffu, v, o);
    if (t == 0) atomicAdd(out, v);
  }
}
inline void sum(const Gpu& gpu, int n, const float* x, float* out) {
  launch(sum_kernel, (n + 127) / 128, 128, 128 * sizeof(float), gpu, n, x, out);
}

struct WarpResults {
  int index[32], up[32], down[32], exclusive_or[32], narrow[32];
  unsigned ballot[32], match[32], add[32], max[32], min[32];
  int any[32], all[32], count, every, some;
};
__global__ void warp_kernel(WarpResults* r) {
  const int t = threadIdx.x;
  const unsigned full = 0xffffffffu;
  r->index[t] = __shfl_sync(full, t, 5);
  r->up[t] = __shfl_up_sync(full, t, 3);
  r->down[t] = __shfl_down_sync(full, t, 3);
  r->exclusive_or[t] = __shfl_xor_sync(full, t, 9);
  r->narrow[t] = __shfl_down_sync(full, t, 2, 8);
  r->ballot[t] = __ballot_sync(full, t % 3 == 0);
  r->match[t] = __match_any_sync(full, static_cast<unsigned>(t % 4));
  r->add[t] = __reduce_add_sync(full, static_cast<unsigned>(t));
  r->max[t] = __reduce_max_sync(full, static_cast<unsigned>(t));
  r->min[t] = __reduce_min_sync(full, static_cast<unsigned>(t + 7));
  r->any[t] = __any_sync(full, t == 31);
  r->all[t] = __all_sync(full, t != 31);
  const int count = __syncthreads_count(t < 10), every = __syncthreads_and(t < 10);
  const int some = __syncthreads_or(t == 10);
  if (t == 0) {
    r->count = count;
    r->every = every;
    r->some = some;
  }
}
inline void warp_functions(const Gpu& gpu, WarpResults* r) {
  launch(warp_kernel, 1, 32, 0, gpu, r);
}

// C (32,64) = A (32,K) · B (64,K)ᵀ in bf16 by one block of two warps, each 32×32: two stages of 32 along k by
// cp.async, ldmatrix, mma. Rows of 64 bytes in four chunks, XORed with the row against bank conflicts.
__device__ __forceinline__ int tile_offset(int row, int chunk) {
  return row * 32 + ((chunk ^ ((row >> 1) & 3)) * 8);
}
__global__ void mma_tile_kernel(int K, const bf16* A, const bf16* B, float* C) {
  CLX_SHARED(bf16, a, [2][32 * 32]);
  CLX_SHARED(bf16, b, [2][64 * 32]);
  const int t = threadIdx.x, lane = t % 32, warp = t / 32, tiles = (K + 31) / 32;
  const auto load = [&](int tile, int stage) {
    for (int i = t; i < (32 + 64) * 4; i += 64) {
      const int row = i / 4, chunk = i % 4, k = tile * 32 + chunk * 8;
      const bool inside = k < K;
      const bf16* const from = row < 32 ? A + row * K : B + (row - 32) * K;
      bf16* const to =
          row < 32 ? a[stage] + tile_offset(row, chunk) : b[stage] + tile_offset(row - 32, chunk);
      ptx::cp_async_16(to, inside ? from + k : A, inside);
    }
  };
  float sums[2][4][4] = {};
  load(0, 0);
  ptx::cp_async_commit();
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) load(tile + 1, (tile + 1) % 2);
    ptx::cp_async_commit();
    ptx::cp_async_wait<1>();
    __syncthreads();  // the stage is complete
    for (int k = 0; k < 2; ++k) {
      const int i = lane / 8, j = lane % 8;
      std::uint32_t fa[2][4], fb[2][4];
      for (int m = 0; m < 2; ++m)
        ptx::ldmatrix_x4(fa[m], a[tile % 2] + tile_offset(m * 16 + (i & 1) * 8 + j, k * 2 + (i >> 1)));
      for (int n = 0; n < 2; ++n)
        ptx::ldmatrix_x4(fb[n],
                         b[tile % 2] + tile_offset(warp * 32 + n * 16 + (i >> 1) * 8 + j, k * 2 + (i & 1)));
      for (int m = 0; m < 2; ++m)
        for (int n = 0; n < 4; ++n) {
          const std::uint32_t pair[2] = {fb[n / 2][(n & 1) * 2], fb[n / 2][(n & 1) * 2 + 1]};
          ptx::mma_m16n8k16_bf16(sums[m][n], fa[m], pair);
        }
    }
    __syncthreads();  // the stage may be overwritten
  }
  ptx::cp_async_wait<0>();
  for (int m = 0; m < 2; ++m)
    for (int n = 0; n < 4; ++n)
      for (int e = 0; e < 4; ++e) {
        const int row = m * 16 + lane / 4 + (e >> 1) * 8, col = warp * 32 + n * 8 + (lane % 4) * 2 + (e & 1);
        C[row * 64 + col] = sums[m][n][e];
      }
}
inline void mma_tile(const Gpu& gpu, int K, const bf16* A, const bf16* B, float* C) {
  launch(mma_tile_kernel, 1, 64, 0, gpu, K, A, B, C);
}

// C (16,8) = A (16,8) · B (8,8), all row-major, operands rounded to tf32; one warp.
__global__ void tf32_kernel(const float* A, const float* B, float* C) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  const std::uint32_t a[4] = {ptx::to_tf32(A[g * 8 + t]), ptx::to_tf32(A[(g + 8) * 8 + t]),
                              ptx::to_tf32(A[g * 8 + t + 4]), ptx::to_tf32(A[(g + 8) * 8 + t + 4])};
  const std::uint32_t b[2] = {ptx::to_tf32(B[t * 8 + g]), ptx::to_tf32(B[(t + 4) * 8 + g])};
  float d[4] = {};
  ptx::mma_m16n8k8_tf32(d, a, b);
  for (int e = 0; e < 4; ++e)
    C[(g + (e >> 1) * 8) * 8 + t * 2 + (e & 1)] = d[e];
}
inline void tf32_tile(const Gpu& gpu, const float* A, const float* B, float* C) {
  launch(tf32_kernel, 1, 32, 0, gpu, A, B, C);
}

// tf32[i] and bf16 pair of (x[i], y[i]), as bits.
__global__ void rounding_kernel(
    int n, const float* x, const float* y, std::uint32_t* tf32, std::uint32_t* pair) {
  const int i = threadIdx.x;
  if (i < n) {
    tf32[i] = ptx::to_tf32(x[i]);
    pair[i] = ptx::pack_bf16(x[i], y[i]);
  }
}
inline void roundings(
    const Gpu& gpu, int n, const float* x, const float* y, std::uint32_t* tf32, std::uint32_t* pair) {
  launch(rounding_kernel, 1, 32, 0, gpu, n, x, y, tf32, pair);
}

// y (8·4,8)ᵀ per matrix: ldmatrix with transposition of four 8×8 matrices x (32,8).
__global__ void transpose_kernel(const std::uint16_t* x, std::uint32_t* y) {
  CLX_SHARED(std::uint16_t, tile, [32][8]);
  const int t = threadIdx.x;
  for (int i = 0; i < 8; ++i)
    tile[t][i] = x[t * 8 + i];
  __syncwarp();
  std::uint32_t r[4];
  ptx::ldmatrix_x4_trans(r, tile[t]);
  for (int i = 0; i < 4; ++i)
    y[i * 32 + t] = r[i];
}
inline void transpose(const Gpu& gpu, const std::uint16_t* x, std::uint32_t* y) {
  launch(transpose_kernel, 1, 32, 0, gpu, x, y);
}

// Warps 0 and 1 hand 64 values each way through named barriers: y[i] = 2·(x[i] + 1).
__global__ void hand_over_kernel(const float* x, float* y) {
  CLX_SHARED(float, slot, [32]);
  const int lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    slot[lane] = x[lane] + 1;
    ptx::named_barrier_arrive(1, 64);
  } else {
    ptx::named_barrier_sync(1, 64);
    y[lane] = slot[lane] * 2;
  }
}
inline void hand_over(const Gpu& gpu, const float* x, float* y) {
  launch(hand_over_kernel, 1, 64, 0, gpu, x, y);
}

// C (M,N) = A (M,K) · B (N,K)ᵀ in bf16: a 64×64 tile per block; warp 4 loads two stages by TMA, threads 0 …
// 127 multiply by wgmma.
constexpr int kTile = 64, kStages = 2, kTileBytes = kTile * kTile * 2;
__global__ void __launch_bounds__(160) wgmma_kernel(const __grid_constant__ ptx::TensorMap map_a,
                                                    const __grid_constant__ ptx::TensorMap map_b,
                                                    int M,
                                                    int N,
                                                    int K,
                                                    float* C) {
  CLX_DYNAMIC_SHARED(memory);
  CLX_SHARED(std::uint64_t, full, [kStages]);
  CLX_SHARED(std::uint64_t, empty, [kStages]);
  unsigned char* const a = memory;
  unsigned char* const b = memory + kStages * kTileBytes;
  const int t = threadIdx.x, m0 = blockIdx.y * kTile, n0 = blockIdx.x * kTile,
            tiles = (K + kTile - 1) / kTile;
  if (t == 0) {
    for (int s = 0; s < kStages; ++s) {
      ptx::mbarrier_init(&full[s], 1);
      ptx::mbarrier_init(&empty[s], 128);
    }
    ptx::mbarrier_init_fence();
    ptx::fence_proxy_async();
  }
  __syncthreads();  // the barriers are ready
  if (t == 128) {
    for (int tile = 0; tile < tiles; ++tile) {
      const int s = tile % kStages;
      if (tile >= kStages) ptx::mbarrier_wait(&empty[s], (tile / kStages - 1) & 1);
      ptx::mbarrier_arrive_expect(&full[s], 2 * kTileBytes);
      ptx::tma_load_2d(a + s * kTileBytes, map_a, tile * kTile, m0, &full[s]);
      ptx::tma_load_2d(b + s * kTileBytes, map_b, tile * kTile, n0, &full[s]);
    }
  } else if (t < 128) {
    float d[32];
    for (int tile = 0; tile < tiles; ++tile) {
      const int s = tile % kStages;
      ptx::mbarrier_wait(&full[s], (tile / kStages) & 1);
      const auto da =
          ptx::wgmma_descriptor(ptx::shared_address(a + s * kTileBytes), 16, 1024, ptx::Swizzle::bytes_128);
      const auto db =
          ptx::wgmma_descriptor(ptx::shared_address(b + s * kTileBytes), 16, 1024, ptx::Swizzle::bytes_128);
      ptx::wgmma_fence();
#pragma unroll
      for (int k = 0; k < kTile / 16; ++k)
        ptx::wgmma_m64k16_bf16<false, false>(d, da + k * 2, db + k * 2, tile > 0 || k > 0);
      ptx::wgmma_commit();
      ptx::wgmma_wait<0>();
      ptx::mbarrier_arrive(&empty[s]);
    }
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const int row = m0 + t / 32 * 16 + t % 32 / 4 + (i >> 1 & 1) * 8;
      const int col = n0 + (i >> 2) * 8 + (t % 4) * 2 + (i & 1);
      if (row < M && col < N) C[row * N + col] = d[i];
    }
  }
}
inline void wgmma_matmul(const Gpu& gpu, int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  const auto map = [K](const bf16* x, int rows) {
    return ptx::make_tensor_map_2d(x, rows, K, K * sizeof(bf16), kTile, kTile, ptx::Swizzle::bytes_128);
  };
  const dim3 grid((N + kTile - 1) / kTile, (M + kTile - 1) / kTile);
  launch(wgmma_kernel, grid, 160, 2 * kStages * kTileBytes, gpu, map(A, M), map(B, N), M, N, K, C);
}

// C (64,64) = A (64,64) · B (64,64) in bf16, row-major both: ordinary stores into the swizzled layout, so B
// is MN-major; one warpgroup.
__global__ void __launch_bounds__(128) wgmma_stores_kernel(const bf16* A, const bf16* B, float* C) {
  CLX_DYNAMIC_SHARED(memory);
  unsigned char* const a = memory;
  unsigned char* const b = memory + kTileBytes;
  const int t = threadIdx.x;
  for (int i = t; i < kTile * 8; i += 128) {
    const int row = i / 8, chunk = i % 8, to = row * 128 + ((chunk ^ (row & 7)) * 16);
    *reinterpret_cast<uint4*>(a + to) = *reinterpret_cast<const uint4*>(A + row * kTile + chunk * 8);
    *reinterpret_cast<uint4*>(b + to) = *reinterpret_cast<const uint4*>(B + row * kTile + chunk * 8);
  }
  ptx::fence_proxy_async();
  __syncthreads();  // tiles are complete
  const auto da = ptx::wgmma_descriptor(ptx::shared_address(a), 16, 1024, ptx::Swizzle::bytes_128);
  const auto db = ptx::wgmma_descriptor(ptx::shared_address(b), 8192, 1024, ptx::Swizzle::bytes_128);
  float d[32];
  ptx::wgmma_fence();
#pragma unroll
  for (int k = 0; k < kTile / 16; ++k)
    ptx::wgmma_m64k16_bf16<false, true>(d, da + k * 2, db + k * 128, k > 0);
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < 32; ++i)
    C[(t / 32 * 16 + t % 32 / 4 + (i >> 1 & 1) * 8) * kTile + (i >> 2) * 8 + (t % 4) * 2 + (i & 1)] = d[i];
}
inline void wgmma_stores(const Gpu& gpu, const bf16* A, const bf16* B, float* C) {
  launch(wgmma_stores_kernel, 1, 128, 2 * kTileBytes, gpu, A, B, C);
}

}  // namespace
}  // namespace clx::kernels
