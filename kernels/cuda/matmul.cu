// What: C[m,n] = Σ_k op(A)[m,k]·op(B)[k,n] + bias[n], and y[c] = Σ_r x[r,c].
// Who: matmul: one block per 64×64 tile of C, n fastest. f32: 256 threads, k in steps of 16, 4×4 results per
//   thread. bf16 and tf32 on the tensor cores: four warps of 32×32 results, k in steps of 32 or 16. bf16 on
//   H100: tiles of 128×64 by TMA and wgmma (tile_wgmma.cuh), k in steps of 64.
//   column_sum: one block per 32 columns, 8 threads per column, each every eighth row, then a tree.
// Where: f32: two tiles of 16×(64 + 4) floats (8.5 KiB) in shared memory, the next two in registers; tensor
//   cores: three stages of two 4 KiB tiles; H100: four stages of 24 KiB.
// Limit: matmul: f32 multiply-adds, each number read from shared memory is used 4 times; on the tensor cores
//   the shared memory; column_sum: memory.
#include "kernels/matmul.h"

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/cublas.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/tile_f32.cuh"
#include "kernels/cuda/tile_tensor_core.cuh"
#include "kernels/cuda/tile_wgmma.cuh"

namespace clx::kernels {
namespace {

constexpr int kTile = 64;
using HopperTile = WgmmaTile<64>;

template <class A, class B>
__global__ void __launch_bounds__(kTileThreads)
    matmul_kernel(const A a, const B b, const StoreMatrix store, int K, int n_tiles) {
  const int m0 = blockIdx.x / n_tiles * kTile, n0 = blockIdx.x % n_tiles * kTile;
  multiply_tile_f32<kTile / 16>(a, b, m0, n0, 0, K, store);
}

template <bool kChunks, class A, class B>
__global__ void __launch_bounds__(SmallTile::kThreads)
    matmul_tensor_core_kernel(const A a, const B b, const StoreMatrix store, int K, int n_tiles) {
  const int m0 = blockIdx.x / n_tiles * kTile, n0 = blockIdx.x % n_tiles * kTile;
  multiply_tile_tensor_core<SmallTile, kChunks>(a, b, m0, n0, 0, K, store);
}
static_assert(SmallTile::BM == kTile && SmallTile::BN == kTile);

/// One factor for TMA: an outer × inner matrix, stored (inner, outer) if not kAlongK; slabs of 64 outer × 64
/// inner.
template <bool kAlongK>
struct TmaFactor {
  ptx::TensorMap map;

  explicit TmaFactor(const MatrixOperand<bf16, kAlongK>& matrix)
      : map(ptx::make_tensor_map_2d(matrix.data,
                                    matrix.rows,
                                    matrix.columns,
                                    matrix.columns * sizeof(bf16),
                                    64,
                                    64,
                                    ptx::Swizzle::bytes_128)) {}
  __device__ __forceinline__ void load(unsigned char* slab, int outer, int k, std::uint64_t* barrier) const {
    ptx::tma_load_2d(slab, map, kAlongK ? k : outer, kAlongK ? outer : k, barrier);
  }
};

template <bool kAlongKA, bool kAlongKB>
__global__ void __launch_bounds__(HopperTile::kThreads, 2)
    matmul_wgmma_kernel(const __grid_constant__ TmaFactor<kAlongKA> a,
                        const __grid_constant__ TmaFactor<kAlongKB> b,
                        const StoreMatrix store,
                        int steps,
                        int n_tiles) {
  const int m0 = blockIdx.x / n_tiles * HopperTile::BM, n0 = blockIdx.x % n_tiles * HopperTile::BN;
  const auto load = [&](int step, unsigned char* slabs, std::uint64_t* barrier) {
    for (int i = 0; i < 2; ++i)
      a.load(slabs + i * HopperTile::kSlab, m0 + i * 64, step * 64, barrier);
    b.load(slabs + 2 * HopperTile::kSlab, n0, step * 64, barrier);
  };
  const auto store_sums = [&](int warpgroup, const float(&sum)[HopperTile::BN / 2], unsigned char*) {
    const int lane = threadIdx.x % 32, m = m0 + warpgroup * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
    for (int i = 0; i < HopperTile::BN / 2; i += 2)
      store.pair(m + i / 2 % 2 * 8, n0 + i / 4 * 8 + lane % 4 * 2, sum[i], sum[i + 1]);
  };
  multiply_tile_wgmma<HopperTile, kAlongKA, kAlongKB>(steps, load, store_sums);
}

constexpr int kSumColumns = 32, kSumRows = 8;

__global__ void __launch_bounds__(kSumColumns* kSumRows)
    column_sum_kernel(int rows, int cols, const float* __restrict__ x, float* __restrict__ y) {
  CLX_SHARED(float, part, [kSumRows][kSumColumns]);
  const int lane = threadIdx.x % kSumColumns, first = threadIdx.x / kSumColumns;
  const int c = blockIdx.x * kSumColumns + lane;
  float sum = 0;
  if (c < cols) {
    for (int r = first; r < rows; r += kSumRows)
      sum += x[std::int64_t(r) * cols + c];
  }
  part[first][lane] = sum;
  for (int half = kSumRows / 2; half > 0; half /= 2) {
    __syncthreads();  // the upper half's parts are written
    if (first < half) part[first][lane] += part[first + half][lane];
  }
  if (first == 0 && c < cols) y[c] = part[0][lane];
}

/// Calls f with the outer × inner matrix as an operand; it is stored (inner, outer) if not inner_contiguous.
template <class T, class F>
void with_matrix(ConstView matrix, bool inner_contiguous, int outer, int inner, F&& f) {
  if (inner_contiguous)
    f(MatrixOperand<T, true>{matrix.as<T>(), outer, inner});
  else
    f(MatrixOperand<T, false>{matrix.as<T>(), inner, outer});
}

}  // namespace

void matmul(
    const Gpu& gpu, const MatmulShape& s, Math math, ConstView A, ConstView B, const float* bias, float* C) {
  if (s.algorithm == MatmulAlgorithm::cublas) return cublas_matmul(gpu, s, math, A, B, bias, C);
  const StoreMatrix store{C, s.M, s.N, bias};
  const int n_tiles = static_cast<int>(ceil_div(s.N, kTile));
  const dim3 grid(count_tiles(s.M, s.N, kTile, kTile));
  const bool tensor_core = A.dtype == DType::bf16 || math == Math::tf32;
  with_float_type(A.dtype, [&](auto element) {
    using T = decltype(element);
    with_matrix<T>(A, !s.transpose_a, s.M, s.K, [&](const auto& a) {
      with_matrix<T>(B, s.transpose_b, s.N, s.K, [&](const auto& b) {
        using KernelA = std::decay_t<decltype(a)>;
        using KernelB = std::decay_t<decltype(b)>;
        // The choice does not depend on M, the samples of a batch.
        const bool chunks = divides<T>(a.columns, a.data) && divides<T>(b.columns, b.data);
        if constexpr (std::is_same_v<T, bf16>) {
          if (chunks && s.N >= 64 && s.K >= 64 && has_hopper_instructions(gpu)) {
            constexpr bool kAlongKA = KernelA::kInnerContiguous, kAlongKB = KernelB::kInnerContiguous;
            const dim3 tiles(count_tiles(s.M, s.N, HopperTile::BM, HopperTile::BN));
            return launch(matmul_wgmma_kernel<kAlongKA, kAlongKB>, tiles, HopperTile::kThreads,
                          HopperTile::kBytes, gpu, TmaFactor<kAlongKA>(a), TmaFactor<kAlongKB>(b), store,
                          static_cast<int>(ceil_div(s.K, HopperTile::kDepth)), n_tiles);
          }
        }
        if (tensor_core) {
          const auto run = [&](auto chunks) {
            launch(matmul_tensor_core_kernel<chunks, KernelA, KernelB>, grid, SmallTile::kThreads,
                   SmallTile::kBytes, gpu, a, b, store, s.K, n_tiles);
          };
          if (chunks)
            run(std::true_type{});
          else
            run(std::false_type{});
        } else if constexpr (std::is_same_v<T, float>) {
          launch(matmul_kernel<KernelA, KernelB>, grid, kTileThreads, 0, gpu, a, b, store, s.K, n_tiles);
        }
      });
    });
  });
}

void column_sum(const Gpu& gpu, int rows, int cols, const float* x, float* y) {
  launch(column_sum_kernel, dim3(ceil_div(cols, kSumColumns)), kSumColumns * kSumRows, 0, gpu, rows, cols, x,
         y);
}

}  // namespace clx::kernels
