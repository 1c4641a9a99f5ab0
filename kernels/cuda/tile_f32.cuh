// One tile of a matrix product on the ordinary cores: f32 multiply-adds in the order of k.
// Included by kernels/cuda/*.cu only.
#pragma once

#include "kernels/cuda/launch.h"
#include "kernels/cuda/tile_operand.cuh"

namespace clx::kernels {
namespace {

/// A block of 16×16 threads computes 16·T × 16·T results, T×T per thread, 16 values of k at a time.
constexpr int kTileThreads = 256;
constexpr int kTileK = 16;

/// Brings a tile of an operand to shared memory, T elements per thread: first to registers (fetch), then,
/// when the tile before is used up, on to shared memory (store). Neighbouring threads read neighbours.
template <class Operand, int T>
class TileFetcher {
 public:
  static constexpr int kExtent = 16 * T;
  using SharedTile = float[kTileK][kExtent + 4];  // (k, outer), + 4 against bank conflicts

  __device__ __forceinline__ TileFetcher(const Operand& operand, int first) : operand_(operand) {
    const int t = threadIdx.x;
    if constexpr (Operand::kInnerContiguous) {
#pragma unroll
      for (int i = 0; i < T; ++i)
        outer_[i] = operand_.outer(first + t / kTileK + i * (kTileThreads / kTileK));
    } else {
      outer_[0] = operand_.outer(first + t % kExtent);
    }
  }

  __device__ __forceinline__ void fetch(int k0) {
    const int t = threadIdx.x;
    if constexpr (Operand::kInnerContiguous) {
      const auto inner = operand_.inner(k0 + t % kTileK);
#pragma unroll
      for (int i = 0; i < T; ++i)
        value_[i] = read(operand_.at(outer_[i], inner));
    } else {
#pragma unroll
      for (int i = 0; i < T; ++i)
        value_[i] =
            read(operand_.at(outer_[0], operand_.inner(k0 + t / kExtent + i * (kTileThreads / kExtent))));
    }
  }

  __device__ __forceinline__ void store(SharedTile& tile) const {
    const int t = threadIdx.x;
#pragma unroll
    for (int i = 0; i < T; ++i) {
      if constexpr (Operand::kInnerContiguous)
        tile[t % kTileK][t / kTileK + i * (kTileThreads / kTileK)] = value_[i];
      else
        tile[t / kExtent + i * (kTileThreads / kExtent)][t % kExtent] = value_[i];
    }
  }

 private:
  using Element = typename Operand::Element;
  __device__ __forceinline__ static float read(const Element* p) {
    return p != nullptr ? static_cast<float>(*p) : 0.f;
  }

  const Operand& operand_;
  typename Operand::Outer outer_[Operand::kInnerContiguous ? T : 1];
  float value_[T];
};

/// Results (m0 … m0 + 16·T, n0 … n0 + 16·T), summed over k_begin ≤ k < k_end in that order, to `store`.
/// k_end − k_begin is a multiple of kTileK, or k_end is where the operands end. The results of a thread are
/// groups of 4×4, 64 apart, so that a warp reads its factors without bank conflicts.
template <int T, class A, class B, class Store>
__device__ __forceinline__ void multiply_tile_f32(
    const A& a, const B& b, int m0, int n0, int k_begin, int k_end, const Store& store) {
  static_assert(T % 4 == 0);
  CLX_SHARED(float, a_tile, [kTileK][16 * T + 4]);  // (k, m)
  CLX_SHARED(float, b_tile, [kTileK][16 * T + 4]);  // (k, n)
  const int tm = threadIdx.x / 16, tn = threadIdx.x % 16;
  const auto place = [](int thread, int i) { return i / 4 * 64 + thread * 4 + i % 4; };

  float sum[T][T] = {};
  TileFetcher<A, T> fetch_a(a, m0);
  TileFetcher<B, T> fetch_b(b, n0);
  if (k_begin < k_end) {
    fetch_a.fetch(k_begin);
    fetch_b.fetch(k_begin);
  }
  for (int k0 = k_begin; k0 < k_end; k0 += kTileK) {
    fetch_a.store(a_tile);
    fetch_b.store(b_tile);
    __syncthreads();  // both tiles are written
    if (k0 + kTileK < k_end) {
      fetch_a.fetch(k0 + kTileK);
      fetch_b.fetch(k0 + kTileK);
    }
#pragma unroll
    for (int k = 0; k < kTileK; ++k) {
      float x[T], y[T];
#pragma unroll
      for (int i = 0; i < T; ++i) {
        x[i] = a_tile[k][place(tm, i)];
        y[i] = b_tile[k][place(tn, i)];
      }
#pragma unroll
      for (int i = 0; i < T; ++i) {
#pragma unroll
        for (int j = 0; j < T; ++j)
          sum[i][j] += x[i] * y[j];
      }
    }
    __syncthreads();  // both tiles are used up: the next ones may be written
  }
#pragma unroll
  for (int i = 0; i < T; ++i) {
#pragma unroll
    for (int j = 0; j < T; j += 2)
      store.pair(m0 + place(tm, i), n0 + place(tn, j), sum[i][j], sum[i][j + 1]);
  }
}

}  // namespace
}  // namespace clx::kernels
