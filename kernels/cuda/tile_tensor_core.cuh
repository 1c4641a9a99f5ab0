// One tile of a matrix product on the tensor cores: bf16 (m16n8k16) or f32 rounded to tf32 (m16n8k8), f32
// sums. Included by kernels/cuda/*.cu only.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/bf16.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/tile_operand.cuh"

namespace clx::kernels {
namespace {

/// A block computes BM×BN results, a warp WM×WN of them, with kStages tiles of each operand on their way. A
/// chunk is 16 bytes (8 bf16 or 4 f32); a tile is 4 chunks deep in k, so two instructions of 2 chunks each.
template <int BM_, int BN_, int WM_, int WN_>
struct TensorCoreTile {
  static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_;
  static constexpr int kWarpsM = BM / WM, kThreads = 32 * kWarpsM * (BN / WN);
  static constexpr int kStages = 3;
  static constexpr int kDepth = 4;  // chunks of k
  static constexpr std::size_t kBytes = std::size_t(kStages) * (BM + BN) * kDepth * 16;
};
using LargeTile = TensorCoreTile<128, 128, 64, 64>;  // 128 threads, 48 KiB
using MediumTile = TensorCoreTile<128, 64, 64, 32>;  // 128 threads, 36 KiB
using SmallTile = TensorCoreTile<64, 64, 32, 32>;    // 128 threads, 24 KiB

template <class T>
inline constexpr int kChunk = 16 / int(sizeof(T));
template <class T>
inline constexpr int kTensorCoreK = 4 * kChunk<T>;  // k per tile: 32 bf16 or 16 f32

/// Whether rows of C elements of T starting at `data` can be copied by chunks.
template <class T>
bool divides(int C, const void* data) {
  return C % kChunk<T> == 0 && is_aligned(data, 16);
}

/// Where chunks lie in a tile of an operand, X = BM or BN of its outer index, in units of elements. Chunk
/// numbers are mixed with row numbers so that the eight rows that ldmatrix reads at once lie in different
/// banks.
template <class T, bool kInnerContiguous, int X>
struct TileLayout {
  static constexpr int kRow = kInnerContiguous ? kTensorCoreK<T> : X;   // elements per row
  static constexpr int kRows = kInnerContiguous ? X : kTensorCoreK<T>;  // (outer, k) or (k, outer)
  static constexpr int kChunksPerRow = kRow / kChunk<T>;

  __device__ __forceinline__ static int offset(int row, int chunk) {
    if constexpr (kInnerContiguous) return row * kRow + (chunk ^ (row / 2 % 4)) * kChunk<T>;
    // f32: a thread reads single numbers, of the rows k … k + 3 and of two neighbouring chunks
    const int mix = std::is_same_v<T, float> ? row % 4 * 2 : row % 8;
    return row * kRow + (chunk ^ mix) * kChunk<T>;
  }
};

/// Brings the tiles of one operand to shared memory. kChunks: by asynchronous copies of whole chunks (see
/// tile_operand.cuh); otherwise element by element, for extents that chunks do not divide.
template <class Tile, class Operand, int X, bool kChunks>
class TileLoader {
  using T = typename Operand::Element;
  using Layout = TileLayout<T, Operand::kInnerContiguous, X>;
  static constexpr bool kInnerContiguous = Operand::kInnerContiguous;
  static constexpr int kRowsPerPass = Tile::kThreads / Layout::kChunksPerRow;
  static constexpr int kPasses = Layout::kRows / kRowsPerPass;
  static_assert(Tile::kThreads % Layout::kChunksPerRow == 0 && Layout::kRows % kRowsPerPass == 0);
  // The part of an address that stays the same from tile to tile: of each row, or of each column, of this
  // thread.
  static constexpr int kOuters = kInnerContiguous ? kPasses : (kChunks ? 1 : kChunk<T>);

 public:
  __device__ __forceinline__ TileLoader(const Operand& operand, int first)
      : operand_(operand),
        chunk_(threadIdx.x % Layout::kChunksPerRow),
        row_(threadIdx.x / Layout::kChunksPerRow) {
#pragma unroll
    for (int i = 0; i < kOuters; ++i)
      outer_[i] =
          operand_.outer(first + (kInnerContiguous ? row_ + i * kRowsPerPass : chunk_ * kChunk<T> + i));
  }

  /// Starts to load the tile of k0 … k0 + kTensorCoreK into `tile`.
  __device__ __forceinline__ void load(int k0, T* tile) const {
    if constexpr (kInnerContiguous) {
      constexpr int kInners = kChunks ? 1 : kChunk<T>;
      typename Operand::Inner inner[kInners];
#pragma unroll
      for (int i = 0; i < kInners; ++i)
        inner[i] = operand_.inner(k0 + chunk_ * kChunk<T> + i);
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass)
        load_chunk(tile, pass, [&](int i) { return operand_.at(outer_[pass], inner[i]); });
    } else {
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        const auto inner = operand_.inner(k0 + row_ + pass * kRowsPerPass);
        load_chunk(tile, pass, [&](int i) { return operand_.at(outer_[i], inner); });
      }
    }
  }

 private:
  template <class At>
  __device__ __forceinline__ void load_chunk(T* tile, int pass, const At& at) const {
    T* to = tile + Layout::offset(row_ + pass * kRowsPerPass, chunk_);
    if constexpr (kChunks) {
      const T* from = at(0);
      ptx::cp_async_16(to, from != nullptr ? from : operand_.base(), from != nullptr);
    } else {
      struct alignas(16) Chunk {
        T v[kChunk<T>];
      } chunk;
#pragma unroll
      for (int i = 0; i < kChunk<T>; ++i) {
        const T* from = at(i);
        chunk.v[i] = from != nullptr ? *from : T(0.f);
      }
      *reinterpret_cast<Chunk*>(to) = chunk;
    }
  }

  const Operand& operand_;
  int chunk_, row_;  // of this thread in its first pass
  typename Operand::Outer outer_[kOuters];
};

/// The factors of one instruction: 16 outer × 2 chunks of k, four registers. As A they are the rows 0–7 and
/// 8–15 of the first chunk, then of the second; as B the two chunks of the columns 0–7, then of 8–15.
template <class T, bool kInnerContiguous, int X, bool kIsA>
__device__ __forceinline__ void read_fragment(std::uint32_t (&fragment)[4],
                                              const T* tile,
                                              int outer,
                                              int step) {
  using Layout = TileLayout<T, kInnerContiguous, X>;
  const int lane = threadIdx.x % 32;
  if constexpr (kInnerContiguous || !std::is_same_v<T, float>) {
    const int matrix = lane / 8, line = lane % 8;  // this lane's part: the address of one of 4×8 lines
    const int outer_half = kIsA ? matrix % 2 : matrix / 2, k_half = kIsA ? matrix / 2 : matrix % 2;
    if constexpr (kInnerContiguous)
      ptx::ldmatrix_x4(fragment, tile + Layout::offset(outer + outer_half * 8 + line, step * 2 + k_half));
    else
      ptx::ldmatrix_x4_trans(fragment,
                             tile + Layout::offset(step * 16 + k_half * 8 + line, outer / 8 + outer_half));
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {  // ldmatrix cannot transpose 32-bit numbers
      const int outer_half = kIsA ? i % 2 : i / 2, k_half = kIsA ? i / 2 : i % 2;
      const int o = outer + outer_half * 8 + lane / 4, k = step * 8 + k_half * 4 + lane % 4;
      fragment[i] = __float_as_uint(tile[Layout::offset(k, o / 4) + o % 4]);
    }
  }
  if constexpr (std::is_same_v<T, float>) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      fragment[i] = ptx::to_tf32(__uint_as_float(fragment[i]));
  }
}

/// Results (m0 … m0 + BM, n0 … n0 + BN), summed over k_begin ≤ k < k_end, to `store`. k_end − k_begin is a
/// multiple of kTensorCoreK, or k_end is where the operands end. Needs Tile::kBytes of dynamic shared memory.
template <class Tile, bool kChunks, class A, class B, class Store>
__device__ __forceinline__ void multiply_tile_tensor_core(
    const A& a, const B& b, int m0, int n0, int k_begin, int k_end, const Store& store) {
  using T = typename A::Element;
  constexpr int kStages = Tile::kStages, kStep = kTensorCoreK<T>;
  constexpr int kTileA = Tile::BM * kStep, kTileB = Tile::BN * kStep;
  CLX_DYNAMIC_SHARED(shared);
  T* const a_tiles = reinterpret_cast<T*>(shared);  // (kStages, BM × kStep)
  T* const b_tiles = a_tiles + kStages * kTileA;    // (kStages, BN × kStep)
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int warp_m = warp % Tile::kWarpsM * Tile::WM, warp_n = warp / Tile::kWarpsM * Tile::WN;

  constexpr int kM = Tile::WM / 16, kN = Tile::WN / 16;
  float sum[kM][2 * kN][4] =
      {};  // per 16×8 results: rows lane/4 and lane/4 + 8, columns 2·(lane%4) and the next
  const TileLoader<Tile, A, Tile::BM, kChunks> load_a(a, m0);
  const TileLoader<Tile, B, Tile::BN, kChunks> load_b(b, n0);
  const int steps = (k_end - k_begin + kStep - 1) / kStep;
  const auto start = [&](int step) {
    if (step < steps) {
      load_a.load(k_begin + step * kStep, a_tiles + step % kStages * kTileA);
      load_b.load(k_begin + step * kStep, b_tiles + step % kStages * kTileB);
    }
    ptx::cp_async_commit();  // also when empty: the wait below counts groups
  };
#pragma unroll
  for (int step = 0; step < kStages - 1; ++step)
    start(step);

  for (int step = 0; step < steps; ++step) {
    ptx::cp_async_wait<kStages - 2>();  // this thread's copies of this step have arrived
    __syncthreads();  // everyone's have; and everyone is done with the stage that `start` now overwrites
    start(step + kStages - 1);
    const T* a_tile = a_tiles + step % kStages * kTileA;
    const T* b_tile = b_tiles + step % kStages * kTileB;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      std::uint32_t fa[kM][4], fb[kN][4];
#pragma unroll
      for (int i = 0; i < kM; ++i)
        read_fragment<T, A::kInnerContiguous, Tile::BM, true>(fa[i], a_tile, warp_m + i * 16, half);
#pragma unroll
      for (int j = 0; j < kN; ++j)
        read_fragment<T, B::kInnerContiguous, Tile::BN, false>(fb[j], b_tile, warp_n + j * 16, half);
#pragma unroll
      for (int i = 0; i < kM; ++i) {
#pragma unroll
        for (int j = 0; j < 2 * kN; ++j) {
          const std::uint32_t column[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
          if constexpr (std::is_same_v<T, float>)
            ptx::mma_m16n8k8_tf32(sum[i][j], fa[i], column);
          else
            ptx::mma_m16n8k16_bf16(sum[i][j], fa[i], column);
        }
      }
    }
  }
  ptx::cp_async_wait<0>();

#pragma unroll
  for (int i = 0; i < kM; ++i) {
#pragma unroll
    for (int j = 0; j < 2 * kN; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half)
        store.pair(m0 + warp_m + i * 16 + half * 8 + lane / 4, n0 + warp_n + j * 8 + lane % 4 * 2,
                   sum[i][j][half * 2], sum[i][j][half * 2 + 1]);
    }
  }
}

}  // namespace
}  // namespace clx::kernels
