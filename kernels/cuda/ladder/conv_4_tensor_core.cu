// What: y[m,k] = Σ_d patches[m,d]·w[k,d], m = (n,p,q) a position, d = (r,s,c) a tap.
// Who: one block of four warps per 64 positions × 64 filters, 32×32 per warp, as 2×4 instructions of 16×8
// results
//   each; d in steps of 32, two instructions deep.
// Where: three stages of two bf16 tiles (4 KiB each: 24 KiB) in shared memory, 32 sums per thread in
// registers. Limit: shared memory: an 8×8 matrix read by ldmatrix is used four times.
//
// The pipeline of rung 5 of the matrix product, fed with patches. C is a multiple of 8, so a chunk of 16
// bytes never crosses from one pixel to the next: it is copied as a whole, and a chunk in the padding is a
// copy of no bytes, which writes zeros. Each address is computed once for 8 channels instead of once for
// each. The filters lie with d fastest, as the instruction wants them, and need no transposition on the way
// to the registers.
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace conv_4 {

constexpr int kTile = 64, kDepth = 32, kStages = 3, kThreads = 128;

// Where a chunk of 8 elements lies in a tile.
__device__ __forceinline__ int place(int row, int chunk) {
  return row * kDepth + (chunk ^ (row / 2 % 4)) * 8;
}

__global__ void __launch_bounds__(kThreads)
    conv_4_kernel(const Conv2dShape s, int P, int Q, const bf16* x, const bf16* w, float* y) {
  CLX_SHARED(uint4, patch_memory, [kStages][kTile * kDepth / 8]);   // (position, tap)
  CLX_SHARED(uint4, filter_memory, [kStages][kTile * kDepth / 8]);  // (filter, tap)
  const auto patches = [&](int step) { return reinterpret_cast<bf16*>(patch_memory[step % kStages]); };
  const auto filters = [&](int step) { return reinterpret_cast<bf16*>(filter_memory[step % kStages]); };
  const int thread = threadIdx.x, lane = thread % 32, warp_m = thread / 32 % 2 * 32,
            warp_k = thread / 64 * 32;
  const int m0 = blockIdx.x * kTile, k0 = blockIdx.y * kTile;
  const int positions = s.N * P * Q, taps = s.R * s.S * s.C, steps = (taps + kDepth - 1) / kDepth;

  const auto start = [&](int step) {
    const int chunk = thread % 4, d = step * kDepth + chunk * 8;
    const int c = d % s.C, r = d / s.C / s.S, t = d / s.C % s.S;
    for (int row = thread / 4; step < steps && row < kTile; row += kThreads / 4) {
      const int m = m0 + row, n = m / (P * Q);
      const int h = m / Q % P * s.stride - s.padding + r, v = m % Q * s.stride - s.padding + t;
      const bool inside = m < positions && d < taps && h >= 0 && h < s.H && v >= 0 && v < s.W;
      ptx::cp_async_16(patches(step) + place(row, chunk),
                       inside ? x + ((std::size_t(n) * s.H + h) * s.W + v) * s.C + c : x, inside);
      const bool is_filter = k0 + row < s.K && d < taps;
      ptx::cp_async_16(filters(step) + place(row, chunk),
                       is_filter ? w + std::size_t(k0 + row) * taps + d : w, is_filter);
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
            a[i], patches(step) + place(warp_m + i * 16 + matrix % 2 * 8 + line, half * 2 + matrix / 2));
        ptx::ldmatrix_x4(
            b[i], filters(step) + place(warp_k + i * 16 + matrix / 2 * 8 + line, half * 2 + matrix % 2));
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
                  k = k0 + warp_k + j * 8 + lane % 4 * 2 + e % 2;
        if (m < positions && k < s.K) y[std::size_t(m) * s.K + k] = sum[i][j][e];
      }
    }
  }
}

}  // namespace conv_4
}  // namespace

void conv_4_tensor_core(const Gpu& gpu, const Conv2dShape& s, const bf16* x, const bf16* w, float* y) {
  using namespace conv_4;
  const dim3 grid((s.N * s.P() * s.Q() + kTile - 1) / kTile, (s.K + kTile - 1) / kTile);
  launch(conv_4_kernel, grid, kThreads, 0, gpu, s, s.P(), s.Q(), x, w, y);
}

}  // namespace clx::kernels::ladder
