// What: C[m,n] = Σ_k A[m,k]·B[k,n].
// Who: one block of 16×16 threads per 16×16 results, one thread per result, k in steps of 16.
// Where: two tiles of 16×16 floats (2 KiB) in shared memory, the sum in a register.
// Limit: shared memory: two reads for each multiply-add.
//
// The 256 threads of a block read the same 16 rows of A and 16 columns of B, each element 16 times. Here they
// first copy a tile of both to shared memory, together, and then read it from there: global memory is asked
// 16 times less. The price is two barriers in each step: nobody may read a tile before all have written their
// part, and nobody may overwrite it before all have read it. Past the edges a tile holds zeros, which add
// nothing.
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace matmul_3 {

constexpr int kTile = 16;

__global__ void __launch_bounds__(kTile* kTile)
    matmul_3_kernel(int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  CLX_SHARED(float, a_tile, [kTile][kTile]);  // (m, k)
  CLX_SHARED(float, b_tile, [kTile][kTile]);  // (k, n)
  const int x = threadIdx.x, y = threadIdx.y;
  const int m = blockIdx.y * kTile + y, n = blockIdx.x * kTile + x;
  float sum = 0;
  for (int k0 = 0; k0 < K; k0 += kTile) {
    a_tile[y][x] = m < M && k0 + x < K ? static_cast<float>(A[std::size_t(m) * K + k0 + x]) : 0.f;
    b_tile[y][x] = k0 + y < K && n < N ? static_cast<float>(B[std::size_t(k0 + y) * N + n]) : 0.f;
    __syncthreads();  // both tiles are written
    for (int k = 0; k < kTile; ++k)
      sum += a_tile[y][k] * b_tile[k][x];
    __syncthreads();  // both tiles are used up
  }
  if (m < M && n < N) C[std::size_t(m) * N + n] = sum;
}

}  // namespace matmul_3
}  // namespace

void matmul_3_shared_tile(const Gpu& gpu, int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  using namespace matmul_3;
  const dim3 grid((N + kTile - 1) / kTile, (M + kTile - 1) / kTile);
  launch(matmul_3_kernel, grid, dim3(kTile, kTile), 0, gpu, M, N, K, A, B, C);
}

}  // namespace clx::kernels::ladder
