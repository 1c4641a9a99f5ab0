// How a grid covers a matrix of rows × C channels (channels last), and sums over its rows.
// Included by kernels/cuda/*.cu only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.h"

namespace clx::kernels {
namespace {

constexpr int kChannelThreads = 256;

/// Blocks of (columns, rows): threadIdx.x picks V neighbouring channels, threadIdx.y a row; a thread keeps
/// its channels and strides over the rows. The shape depends on the matrix alone, so sums repeat bit for bit.
struct ChannelGrid {
  dim3 grid, block;
};

/// `depth` is the number of rows that a thread should at least have to do. With V = 1 a warp is 32 channels
/// of one row.
inline ChannelGrid channel_grid(std::int64_t rows, int C, int V, int depth) {
  constexpr int kMostBlocks = 1024;  // about what fills the largest GPU once
  const int packs = (C + V - 1) / V;
  int columns = V == 1 ? 32 : 1;
  while (columns < packs && columns < 32)
    columns *= 2;
  const int lanes = kChannelThreads / columns;
  const int column_blocks = (packs + columns - 1) / columns;
  const std::int64_t tile = std::int64_t(lanes) * depth;
  const std::int64_t row_blocks = std::clamp<std::int64_t>(
      (rows + tile - 1) / tile, 1, std::max<std::int64_t>(1, kMostBlocks / column_blocks));
  return {dim3(column_blocks, static_cast<unsigned>(row_blocks)), dim3(columns, lanes)};
}

/// The first of this thread's V channels; it may be past the last one.
template <int V>
__device__ __forceinline__ int first_channel() {
  return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * V;
}
__device__ __forceinline__ std::int64_t first_row() {
  return std::int64_t(blockIdx.y) * blockDim.y + threadIdx.y;
}
__device__ __forceinline__ std::int64_t row_stride() {
  return std::int64_t(gridDim.y) * blockDim.y;
}

/// Folds value[v] over threadIdx.y with T's `+=`, as a binary tree; the threads with threadIdx.y = 0 hold the
/// result. All threads of the block call it; blockDim.y is a power of two.
template <class T, int V>
__device__ void fold_rows(T (&value)[V]) {
  CLX_SHARED(T, part, [V][kChannelThreads]);
  const int t = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int v = 0; v < V; ++v)
    part[v][t] = value[v];
  for (int half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();  // the upper half's parts are written
    if (static_cast<int>(threadIdx.y) < half) {
#pragma unroll
      for (int v = 0; v < V; ++v) {
        value[v] += part[v][t + half * blockDim.x];
        part[v][t] = value[v];
      }
    }
  }
  __syncthreads();  // all parts are read: the next call may write them
}

}  // namespace
}  // namespace clx::kernels
