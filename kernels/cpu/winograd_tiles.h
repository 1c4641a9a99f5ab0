// Images cut into Winograd's tiles, and the memory between its transforms and its products.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/pair_product.h"
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

/// For each of the 36 points a matrix of `rows` tiles and `columns` numbers of 32 bits. Rows and matrices
/// have distances that are no multiples of large powers of two, which would share few places of a cache.
struct PointMatrices {
  std::ptrdiff_t row, point;
  PointMatrices(std::int64_t rows, int columns)
      : row(columns + kLanes), point((rows * row / kLanes | 1) * kLanes) {}
  std::size_t numbers() const { return static_cast<std::size_t>(point * kPoints); }
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

/// to[point][0][c] = (Bᵀ·d·B)[point], d being the 6×6 inputs of one tile. Outside the image they are `zeros`
/// (C). T: float or bf16.
template <class T>
void transform_input(
    const Images& s, const T* x, const T* zeros, const Place& at, float* to, std::ptrdiff_t point);

/// to[point][0][c] = (A·g·Aᵀ)[point], g being the 4×4 outputs of one tile.
template <class T>
void transform_gradient(
    const Images& s, const T* dy, const T* zeros, const Place& at, float* to, std::ptrdiff_t point);

// A convolution of bf16 has 16-bit fixed-point numbers at the points, which are multiplied twice as fast as
// f32 and, with 10 to 15 bits, add errors about as large as the rounding of results to bf16. (bf16 itself has
// 8 bits there: too few for what the output's transform cancels, which makes errors six times as large.)
// Each block of kSummed channels has units of its own.
//   inputs   a tile's, at a point, are integers/32767 · ‖row of Bᵀ‖₁·‖row of Bᵀ‖₁ · the largest input of the
//            tile, of which none can be larger
//   filters  those to one output channel, at a point, are integers of a unit such that the sum of their
//            absolute values is at most 65535: no 32-bit sum of products overflows
// A tile with an infinity or a NaN gives nothing else. Inputs below 1e-30 count as 0.

/// What a matrix at a point consists of, and how many channels it holds.
template <class T>
using Number = std::conditional_t<std::is_same_v<T, bf16>, Pair, float>;
template <class T>
inline constexpr int kChannelsOf = std::is_same_v<T, bf16> ? 2 : 1;

/// Channels summed in registers before they are added to a product: f32 rounds less so, and integers have
/// more bits the fewer there are.
template <class T>
inline constexpr int kSummed = std::is_same_v<T, bf16> ? 64 : 128;

inline int blocks(int channels, int summed) {
  return (channels + summed - 1) / summed;
}

/// transform_input to the numbers that are multiplied. The units of block b go to unit[b·units]; f32 has
/// none.
template <class T>
void input_at_points(const Images& s,
                     const T* x,
                     const T* zeros,
                     const Place& at,
                     Number<T>* to,
                     std::ptrdiff_t point,
                     float* unit,
                     std::ptrdiff_t units);

/// Matrices of numbers at the points, in panels of kWidth columns: U[point][panel][row][column].
struct FilterPanels {
  static constexpr int kWidth = kBlockVectors * kLanes;
  int rows, columns;
  std::size_t numbers() const { return static_cast<std::size_t>(kPoints) * rows * columns; }
  /// The panel with column c of a point's matrix, and how far apart its rows are.
  std::ptrdiff_t panel(int point, int c) const {
    return static_cast<std::ptrdiff_t>(rows) * (static_cast<std::ptrdiff_t>(point) * columns + c);
  }
  int width(int c) const { return std::min(kWidth, columns - c); }
};

/// Filters w (K,3,3,C) at the points: panels whose rows are the channels that a convolution sums over, those
/// of a number together, and behind them the units [block][point][column]; f32 has none. Forward: rows C,
/// columns K. Data gradient: rows K, columns C, of filters turned by 180°.
template <class T>
struct FiltersAtPoints {
  int channels;
  FilterPanels panels;
  FiltersAtPoints(int K, int C, bool forward)
      : channels(forward ? C : K), panels{channels / kChannelsOf<T>, forward ? K : C} {}
  std::size_t bytes() const {
    const std::size_t units =
        kChannelsOf<T> == 1 ? 0 : blocks(channels, kSummed<T>) * kPoints * panels.columns;
    return panels.numbers() * sizeof(Number<T>) + units * sizeof(float);
  }
  std::ptrdiff_t unit(int block, int point, int column) const {
    return static_cast<std::ptrdiff_t>(panels.numbers()) +
           (std::ptrdiff_t(block) * kPoints + point) * panels.columns + column;
  }
};
template <class T>
void transform_filters(const Cpu& backend, int K, int C, bool forward, const T* w, void* U);

}  // namespace clx::kernels::winograd
