// What: C[m,n] = Σ_k A[m,k]·B[k,n].
// Who: one block of four warps per 64×64 results, 32×32 per warp, as 2×4 instructions of 16×8 results each; k
// in
//   steps of 32, two instructions deep.
// Where: three stages of two bf16 tiles (4 KiB each: 24 KiB) in shared memory, 32 sums per thread in
// registers. Limit: shared memory: an 8×8 matrix read by ldmatrix is used four times.
//
// New: mma.sync, with which a warp multiplies 16×16 by 16×8 numbers at once, and what it takes to feed it. A
// lane holds a few elements of each operand in an order that the hardware prescribes (kernels/cuda/ptx.h);
// ldmatrix brings them there, eight rows of 16 bytes at a time. So that those eight lie in different banks,
// chunks of 16 bytes are stored at their number XOR the row's: a swizzle. The tiles are copied by cp.async,
// past the registers, two steps ahead: while one stage is multiplied, the next two are on their way, and one
// barrier a step is enough.
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace matmul_5 {

constexpr int kTile = 64, kDepth = 32, kStages = 3, kThreads = 128;

// Where a chunk of 8 elements lies in a tile.
__device__ __forceinline__ int a_place(int m, int chunk) {
  return m * kDepth + (chunk ^ (m / 2 % 4)) * 8;
}
__device__ __forceinline__ int b_place(int k, int chunk) {
  return k * kTile + (chunk ^ (k % 8)) * 8;
}

__global__ void __launch_bounds__(kThreads)
    matmul_5_kernel(int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  CLX_SHARED(uint4, a_memory, [kStages][kTile * kDepth / 8]);  // (m, k)
  CLX_SHARED(uint4, b_memory, [kStages][kDepth * kTile / 8]);  // (k, n)
  const auto a_tile = [&](int step) { return reinterpret_cast<bf16*>(a_memory[step % kStages]); };
  const auto b_tile = [&](int step) { return reinterpret_cast<bf16*>(b_memory[step % kStages]); };
  const int t = threadIdx.x, lane = t % 32, warp_m = t / 32 % 2 * 32, warp_n = t / 64 * 32;
  const int m0 = blockIdx.y * kTile, n0 = blockIdx.x * kTile, steps = (K + kDepth - 1) / kDepth;

  const auto start = [&](int step) {
    for (int i = t; step < steps && i < kTile * kDepth / 8; i += kThreads) {
      const int m = i / 4, a_chunk = i % 4, ka = step * kDepth + a_chunk * 8;
      const bool a_inside = m0 + m < M && ka < K;
      ptx::cp_async_16(a_tile(step) + a_place(m, a_chunk), a_inside ? A + std::size_t(m0 + m) * K + ka : A,
                       a_inside);
      const int k = i / 8, b_chunk = i % 8, kb = step * kDepth + k, n = n0 + b_chunk * 8;
      const bool b_inside = kb < K && n < N;
      ptx::cp_async_16(b_tile(step) + b_place(k, b_chunk), b_inside ? B + std::size_t(kb) * N + n : B,
                       b_inside);
    }
    ptx::cp_async_commit();  // also when empty: the wait below counts groups
  };

  float sum[2][4][4] = {};
  for (int step = 0; step < kStages - 1; ++step)
    start(step);
  for (int step = 0; step < steps; ++step) {
    ptx::cp_async_wait<kStages - 2>();  // this thread's copies of this step have arrived
    __syncthreads();  // everyone's have; and everyone is done with the stage that `start` now overwrites
    start(step + kStages - 1);
    const int matrix = lane / 8, line = lane % 8;  // of the four 8×8 matrices: which row this lane names
#pragma unroll
    for (int half = 0; half < kDepth / 16; ++half) {
      std::uint32_t a[2][4], b[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        ptx::ldmatrix_x4(
            a[i], a_tile(step) + a_place(warp_m + i * 16 + matrix % 2 * 8 + line, half * 2 + matrix / 2));
        ptx::ldmatrix_x4_trans(
            b[i], b_tile(step) + b_place(half * 16 + matrix % 2 * 8 + line, warp_n / 8 + i * 2 + matrix / 2));
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const std::uint32_t column[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
          ptx::mma_m16n8k16_bf16(sum[i][j], a[i], column);
        }
      }
    }
  }
  ptx::cp_async_wait<0>();

#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int m = m0 + warp_m + i * 16 + e / 2 * 8 + lane / 4,
                  n = n0 + warp_n + j * 8 + lane % 4 * 2 + e % 2;
        if (m < M && n < N) C[std::size_t(m) * N + n] = sum[i][j][e];
      }
    }
  }
}

}  // namespace matmul_5
}  // namespace

void matmul_5_tensor_core(const Gpu& gpu, int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  using namespace matmul_5;
  const dim3 grid((N + kTile - 1) / kTile, (M + kTile - 1) / kTile);
  launch(matmul_5_kernel, grid, kThreads, 0, gpu, M, N, K, A, B, C);
}

}  // namespace clx::kernels::ladder
