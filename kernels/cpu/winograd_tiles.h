// Images cut into Winograd's tiles, and the memory between its transforms and its products.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/tile_product.h"
#include "kernels/cpu/winograd_transform.h"

namespace clx::kernels::winograd {

/// Images (N,H,W,C), whose windows of tiles are cut for outputs of P×Q; padding may be negative.
struct Images {
  int N, H, W, C, P, Q, padding;
  int tiles_down() const { return (P + kTile - 1) / kTile; }
  int tiles_across() const { return (Q + kTile - 1) / kTile; }
  std::int64_t tiles() const { return std::int64_t(N) * tiles_down() * tiles_across(); }
};

/// Where tile t lies: its image and the first of its outputs.
struct Place {
  std::int64_t n;
  int p, q;
  Place(const Images& s, std::int64_t t)
      : n(t / (s.tiles_down() * s.tiles_across())),
        p(static_cast<int>(t / s.tiles_across() % s.tiles_down()) * kTile),
        q(static_cast<int>(t % s.tiles_across()) * kTile) {}
};

/// For each of the 36 points a matrix of `rows` tiles and `columns` channels. Rows and matrices have
/// distances that are no multiples of large powers of two, which would share few places of a cache.
struct PointMatrices {
  std::ptrdiff_t row, point;
  PointMatrices(std::int64_t rows, int columns)
      : row(columns + kLanes), point((rows * row / kLanes | 1) * kLanes) {}
  std::size_t floats() const { return static_cast<std::size_t>(point * kPoints); }
};

/// C zeros, the pixels outside an image.
template <class T>
const T* zero_pixel(const Cpu& backend, int C) {
  auto* zeros = static_cast<T*>(backend.workspace(static_cast<std::size_t>(C) * sizeof(T)));
  std::fill_n(zeros, C, T{});
  return zeros;
}

/// Products of tiles are formed for so many rows at once.
constexpr std::int64_t whole_rows(std::int64_t rows) {
  return (rows + kBlockRows - 1) / kBlockRows * kBlockRows;
}

// T: float or bf16. What lies at the points is f32 always.

/// to[point][0][c] = (Bᵀ·d·B)[point], d being the 6×6 inputs of one tile. Outside the image they are `zeros`
/// (C).
template <class T>
void transform_input(
    const Images& s, const T* x, const T* zeros, const Place& at, float* to, std::ptrdiff_t point);

/// to[point][0][c] = (A·g·Aᵀ)[point], g being the 4×4 outputs of one tile.
template <class T>
void transform_gradient(
    const Images& s, const T* dy, const T* zeros, const Place& at, float* to, std::ptrdiff_t point);

/// Filters w (K,3,3,C) at the points, in panels of kWidth columns: U[point][panel][row][column], where rows
/// are the channels that a convolution sums over. Forward: rows C, columns K. Data gradient: rows K, columns
/// C, of filters turned by 180°.
struct FilterPanels {
  static constexpr int kWidth = kBlockVectors * kLanes;
  int rows, columns;
  std::size_t floats() const { return static_cast<std::size_t>(kPoints) * rows * columns; }
  /// The panel with column c of a point's matrix, and how far apart its rows are.
  std::ptrdiff_t panel(int point, int c) const {
    return static_cast<std::ptrdiff_t>(rows) * (static_cast<std::ptrdiff_t>(point) * columns + c);
  }
  int width(int c) const { return std::min(kWidth, columns - c); }
};
template <class T>
void transform_filters(int K, int C, bool forward, const T* w, float* U);

}  // namespace clx::kernels::winograd
