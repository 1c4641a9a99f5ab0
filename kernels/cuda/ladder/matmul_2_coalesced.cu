// What: C[m,n] = Σ_k A[m,k]·B[k,n].
// Who: one thread per result; a block of 32×8 threads for 32 columns and 8 rows.
// Where: everything in global memory, the sum in a register.
// Limit: load instructions and the L1 cache: two loads for each multiply-add.
//
// One letter is new: threadIdx.x counts columns. The 32 lanes of a warp now read 32 neighbours of a row of B,
// 64 bytes in two sectors, and all the same element of A, which is one broadcast. The work is the same; the
// memory moves what is used and no more ("coalesced" access).
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace matmul_2 {

constexpr int kRows = 8, kColumns = 32;

__global__ void __launch_bounds__(kRows* kColumns)
    matmul_2_kernel(int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  const int m = blockIdx.y * kRows + threadIdx.y, n = blockIdx.x * kColumns + threadIdx.x;
  if (m >= M || n >= N) return;
  float sum = 0;
  for (int k = 0; k < K; ++k)
    sum += static_cast<float>(A[std::size_t(m) * K + k]) * static_cast<float>(B[std::size_t(k) * N + n]);
  C[std::size_t(m) * N + n] = sum;
}

}  // namespace matmul_2
}  // namespace

void matmul_2_coalesced(const Gpu& gpu, int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  using namespace matmul_2;
  const dim3 grid((N + kColumns - 1) / kColumns, (M + kRows - 1) / kRows);
  launch(matmul_2_kernel, grid, dim3(kColumns, kRows), 0, gpu, M, N, K, A, B, C);
}

}  // namespace clx::kernels::ladder
