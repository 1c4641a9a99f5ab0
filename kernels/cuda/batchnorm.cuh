// What the forward and the backward kernels of batch-norm share: the ReLU mask and the second stage of sums.
// Included by kernels/cuda/*.cu only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/channels.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"

namespace clx::kernels {
namespace {

constexpr int kBatchNormDepth = 8;  // rows per thread below which another block does not pay

/// The mask of `saved` has one bit per element: row m is ⌈C/32⌉ words, bit c % 32 of word c/32 says that ReLU
/// passed x[m,c].
__host__ __device__ inline std::size_t mask_row_bytes(int C) {
  return (static_cast<std::size_t>(C) + 31) / 32 * 4;
}

/// Stores bit v of `bits` for channel c + v. With V = 1 the warp is 32 channels of one row.
template <int V>
__device__ __forceinline__ void store_mask(std::uint8_t* row, int c, unsigned bits) {
  if constexpr (V == kPack) {
    row[c / 8] = static_cast<std::uint8_t>(bits);
  } else {
    const unsigned word = __ballot_sync(0xffffffffu, bits != 0);
    if (threadIdx.x == 0) reinterpret_cast<std::uint32_t*>(row)[c / 32] = word;
  }
}

/// Bit v says whether ReLU passed channel c + v.
template <int V>
__device__ __forceinline__ unsigned load_mask(const std::uint8_t* row, int c) {
  return V == kPack ? row[c / 8] : row[c / 8] >> (c % 8) & 1u;
}

/// Σ over the blocks of partial (blocks,C) for this thread's channel, valid where threadIdx.y = 0.
template <class T>
__device__ T fold_blocks(int blocks, int C, const T* partial, int c) {
  T total[1] = {};
  if (c < C)
    for (int i = threadIdx.y; i < blocks; i += blockDim.y)
      total[0] += partial[std::size_t(i) * C + c];
  fold_rows(total);
  return total[0];
}

/// One column of blocks: the second stage of a sum over rows.
inline ChannelGrid finish_grid(int C) {
  ChannelGrid tiles = channel_grid(1, C, 1, 1);
  tiles.grid.y = 1;
  return tiles;
}

}  // namespace
}  // namespace clx::kernels
