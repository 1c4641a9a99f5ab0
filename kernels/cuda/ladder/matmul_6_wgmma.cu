// What: C[m,n] = Σ_k A[m,k]·B[k,n], on Hopper.
// Who: one block of five warps per 64×64 results, k in steps of 64: one thread of the fifth warp loads, the
// other
//   four, a warpgroup, multiply.
// Where: four stages of two 8 KiB tiles (64 KiB) in shared memory, 32 sums per thread in registers.
// Limit: shared memory: wgmma reads both operands from there, and a tile of 64×64 uses them least.
//
// New: nobody copies and nobody computes addresses. A tensor map describes each matrix; one instruction of
// one thread lets the TMA unit bring a whole tile, zeros past the edges and the swizzle included, and an
// mbarrier counts its bytes. wgmma multiplies tiles where they lie: a descriptor names address and layout,
// and the operands never pass through registers. So the block splits into a producer and consumers that meet
// only at two mbarriers per stage: `full`, when the bytes are there, and `empty`, when 128 threads have used
// them. B is stored with n first, which a flag of the instruction allows.
#include <stdexcept>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx_hopper.h"
#include "kernels/ladder.h"

namespace clx::kernels::ladder {
namespace {
namespace matmul_6 {

constexpr int kTile = 64, kStages = 4, kTileBytes = kTile * kTile * int(sizeof(bf16));
constexpr int kConsumers = 128, kThreads = kConsumers + 32;

__global__ void __launch_bounds__(kThreads) matmul_6_kernel(const __grid_constant__ ptx::TensorMap a_map,
                                                            const __grid_constant__ ptx::TensorMap b_map,
                                                            int M,
                                                            int N,
                                                            int K,
                                                            float* C) {
  CLX_DYNAMIC_SHARED(memory);
  CLX_SHARED(std::uint64_t, full, [kStages]);
  CLX_SHARED(std::uint64_t, empty, [kStages]);
  unsigned char* const a_tiles = memory;                         // (kStages, m, k)
  unsigned char* const b_tiles = memory + kStages * kTileBytes;  // (kStages, k, n)
  const int t = threadIdx.x, m0 = blockIdx.y * kTile, n0 = blockIdx.x * kTile;
  const int steps = (K + kTile - 1) / kTile;
  if (t == 0) {
    for (int s = 0; s < kStages; ++s) {
      ptx::mbarrier_init(&full[s], 1);
      ptx::mbarrier_init(&empty[s], kConsumers);
    }
    ptx::mbarrier_init_fence();
    ptx::fence_proxy_async();
  }
  __syncthreads();  // the barriers are ready

  if (t == kConsumers) {
    for (int step = 0; step < steps; ++step) {
      const int s = step % kStages, round = step / kStages;
      if (round > 0) ptx::mbarrier_wait(&empty[s], (round - 1) % 2);
      ptx::mbarrier_arrive_expect(&full[s], 2 * kTileBytes);
      ptx::tma_load_2d(a_tiles + s * kTileBytes, a_map, step * kTile, m0, &full[s]);
      ptx::tma_load_2d(b_tiles + s * kTileBytes, b_map, n0, step * kTile, &full[s]);
    }
  } else if (t < kConsumers) {
    float sum[32];
    for (int step = 0; step < steps; ++step) {
      const int s = step % kStages, round = step / kStages;
      ptx::mbarrier_wait(&full[s], round % 2);
      const auto a = ptx::wgmma_descriptor(ptx::shared_address(a_tiles + s * kTileBytes), 16, 1024,
                                           ptx::Swizzle::bytes_128);
      const auto b = ptx::wgmma_descriptor(ptx::shared_address(b_tiles + s * kTileBytes), kTileBytes, 1024,
                                           ptx::Swizzle::bytes_128);
      ptx::wgmma_fence();
#pragma unroll
      for (int k = 0; k < kTile / 16; ++k)  // along k: 32 bytes of a row of A, 16 rows of B
        ptx::wgmma_m64k16_bf16<false, true>(sum, a + k * 2, b + k * 128, step > 0 || k > 0);
      ptx::wgmma_commit();
      ptx::wgmma_wait<0>();
      ptx::mbarrier_arrive(&empty[s]);
    }
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const int m = m0 + t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8, n = n0 + i / 4 * 8 + t % 4 * 2 + i % 2;
      if (m < M && n < N) C[std::size_t(m) * N + n] = sum[i];
    }
  }
}

}  // namespace matmul_6
}  // namespace

bool has_wgmma(const Gpu& gpu) {
  return has_hopper_instructions(gpu);
}

void matmul_6_wgmma(const Gpu& gpu, int M, int N, int K, const bf16* A, const bf16* B, float* C) {
  using namespace matmul_6;
  if (!has_wgmma(gpu))
    throw std::runtime_error("matmul_6_wgmma: only Hopper (compute capability 9.0) has wgmma");
  const auto map = [](const bf16* matrix, int rows, int columns) {
    return ptx::make_tensor_map_2d(matrix, rows, columns, columns * sizeof(bf16), kTile, kTile,
                                   ptx::Swizzle::bytes_128);
  };
  const dim3 grid((N + kTile - 1) / kTile, (M + kTile - 1) / kTile);
  launch(matmul_6_kernel, grid, kThreads, 2 * kStages * kTileBytes, gpu, map(A, M, K), map(B, K, N), M, N, K,
         C);
}

}  // namespace clx::kernels::ladder
