// What: C[m,n] = Σ_k A[m,k]·B[k,n].
// Who: one thread per result; a block of 32×8 threads for 32 rows and 8 columns.
// Where: everything in global memory, the sum in a register.
// Limit: memory transactions: the 32 lanes of a warp read 32 rows of A, each from another 32-byte sector.
//
// The loop that one would write on a CPU, with the two outer loops spread over threads. It is right, and
// slow: threadIdx.x counts rows, so the lanes of a warp, which load together, load numbers that are K
// elements apart. The memory delivers 32 bytes for each of them and two are used.
#include "kernels/cuda/launch.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace matmul_1 {

constexpr int kRows = 32, kColumns = 8;

__global__ void __launch_bounds__(kRows* kColumns)
    matmul_1_kernel(int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  const int m = blockIdx.y * kRows + threadIdx.x, n = blockIdx.x * kColumns + threadIdx.y;
  if (m >= M || n >= N) return;
  float sum = 0;
  for (int k = 0; k < K; ++k)
    sum += static_cast<float>(A[std::size_t(m) * K + k]) * static_cast<float>(B[std::size_t(k) * N + n]);
  C[std::size_t(m) * N + n] = sum;
}

}  // namespace matmul_1
}  // namespace

void matmul_1_naive(const Gpu& gpu, int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  using namespace matmul_1;
  const dim3 grid((N + kColumns - 1) / kColumns, (M + kRows - 1) / kRows);
  launch(matmul_1_kernel, grid, dim3(kRows, kColumns), 0, gpu, M, N, K, A, B, C);
}

}  // namespace clx::kernels::ladder
