// Many tensors in one launch: their list is passed by value and a block finds the tile it works on. Included
// by kernels/cuda/*.cu only.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"

namespace clx::kernels {
namespace {

constexpr int kTile = 4096;

/// What one launch works on: tensor i is tiles first_tile[i] … first_tile[i + 1] − 1. T has a `size`.
template <class T, int N>
struct TensorList {
  static constexpr int kTensors = N;
  T tensor[N];
  std::int32_t first_tile[N + 1];
  int count;
};

/// As many tensors as fit the 4 KB that kernel parameters may have, beside 256 bytes of other ones.
template <class T>
using Tensors = TensorList<T, (4096 - 256 - 8) / (sizeof(T) + 4)>;

struct Tile {
  int tensor = 0;
  std::int64_t begin = 0, end = 0;  // elements
};

/// The tile of block `block`: the largest i with first_tile[i] ≤ block, by bisection; tensors without tiles
/// are not in the list.
template <class T, int N>
__device__ Tile tile_of(const TensorList<T, N>& list, int block) {
  int low = 0, high = list.count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (list.first_tile[middle] <= block)
      low = middle;
    else
      high = middle - 1;
  }
  const std::int64_t begin = std::int64_t(block - list.first_tile[low]) * kTile;
  const std::int64_t size = list.tensor[low].size;
  return {low, begin, begin + kTile < size ? begin + kTile : size};
}

/// Calls launch(list) for all `count` tensors, in as few lists as hold them.
template <class T, class Launch>
void for_each_list(int count, const T* tensors, const Launch& launch) {
  Tensors<T> list{};
  for (int i = 0; i < count; ++i) {
    if (tensors[i].size == 0) continue;
    const auto tiles = static_cast<std::int32_t>((tensors[i].size + kTile - 1) / kTile);
    list.tensor[list.count] = tensors[i];
    list.first_tile[list.count + 1] = list.first_tile[list.count] + tiles;
    if (++list.count < Tensors<T>::kTensors) continue;
    launch(list);
    list.count = 0;
  }
  if (list.count > 0) launch(list);
}

}  // namespace
}  // namespace clx::kernels
