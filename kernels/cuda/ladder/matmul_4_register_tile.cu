// What: C[m,n] = Σ_k A[m,k]·B[k,n].
// Who: one block of 16×16 threads per 64×64 results, 4×4 neighbouring results per thread, k in steps of 16.
// Where: two tiles of 16×(64 + 4) floats (8.5 KiB) in shared memory, 16 sums in registers.
// Limit: f32 multiply-adds: eight numbers read from shared memory, in two loads of 16 bytes, feed 16 of them.
//
// Rung 3 reads two numbers for each multiply-add. A thread that owns 4×4 results reads four numbers of A and
// four of B, keeps them in registers, and forms all 16 products: half a number for each. The tile of A is
// stored with k first, so that a thread's four rows are neighbours; rows of 64 + 4 floats lie in different
// banks when a warp writes a column. The product's own f32 kernel (kernels/cuda/tile_f32.cuh) also fetches
// the next tiles meanwhile.
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace matmul_4 {

constexpr int kThreads = 16;  // along each axis
constexpr int kOwn = 4;       // results of a thread along each axis
constexpr int kTile = kThreads * kOwn, kDepth = 16;

__global__ void __launch_bounds__(kThreads* kThreads)
    matmul_4_kernel(int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  CLX_SHARED(float, a_tile, [kDepth][kTile + 4]);  // (k, m)
  CLX_SHARED(float, b_tile, [kDepth][kTile + 4]);  // (k, n)
  const int x = threadIdx.x, y = threadIdx.y, t = y * kThreads + x;
  const int m0 = blockIdx.y * kTile, n0 = blockIdx.x * kTile;
  float sum[kOwn][kOwn] = {};
  for (int k0 = 0; k0 < K; k0 += kDepth) {
    for (int i = t; i < kTile * kDepth; i += kThreads * kThreads) {
      const int m = m0 + i / kDepth, ka = k0 + i % kDepth, kb = k0 + i / kTile, n = n0 + i % kTile;
      a_tile[ka - k0][m - m0] = m < M && ka < K ? static_cast<float>(A[std::size_t(m) * K + ka]) : 0.f;
      b_tile[kb - k0][n - n0] = kb < K && n < N ? static_cast<float>(B[std::size_t(kb) * N + n]) : 0.f;
    }
    __syncthreads();  // both tiles are written
    for (int k = 0; k < kDepth; ++k) {
      float a[kOwn], b[kOwn];
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        a[i] = a_tile[k][y * kOwn + i];
        b[i] = b_tile[k][x * kOwn + i];
      }
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
#pragma unroll
        for (int j = 0; j < kOwn; ++j)
          sum[i][j] += a[i] * b[j];
      }
    }
    __syncthreads();  // both tiles are used up
  }
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      const int m = m0 + y * kOwn + i, n = n0 + x * kOwn + j;
      if (m < M && n < N) C[std::size_t(m) * N + n] = sum[i][j];
    }
  }
}

}  // namespace matmul_4
}  // namespace

void matmul_4_register_tile(const Gpu& gpu, int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  using namespace matmul_4;
  const dim3 grid((N + kTile - 1) / kTile, (M + kTile - 1) / kTile);
  launch(matmul_4_kernel, grid, dim3(kThreads, kThreads), 0, gpu, M, N, K, A, B, C);
}

}  // namespace clx::kernels::ladder
