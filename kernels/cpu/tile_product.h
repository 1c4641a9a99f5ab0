// Products of tiles that lie in the caches: C = A·B with register blocks, on the calling thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "kernels/cpu/vector.h"

namespace clx::kernels {

/// Rows and vectors of C that are in registers at once, with as many vectors of B and one number of A: 29 of
/// 32 registers of 512 bits, or 15 of 16.
inline constexpr int kBlockRows = 6, kBlockVectors = kLanes == 16 ? 4 : 2;

/// The left factor: element (r,k) is data[r·row + k·step], so that it may lie either way round.
struct TileFactor {
  const float* data = nullptr;
  std::ptrdiff_t row = 0, step = 0;
};

namespace tile_product_detail {

template <int V, bool kAdd>
void multiply_block(
    int K, TileFactor a, const float* b, std::ptrdiff_t b_row, float* c, std::ptrdiff_t c_row) {
  Vec sum[kBlockRows][V] = {};
  for (int k = 0; k < K; ++k, b += b_row, a.data += a.step) {
    Vec from_b[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      from_b[v] = load(b + v * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kBlockRows; ++r) {
      const Vec from_a = broadcast(a.data[r * a.row]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[r][v] = multiply_add(from_a, from_b[v], sum[r][v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kBlockRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* to = c + r * c_row + v * kLanes;
      store(to, kAdd ? load(to) + sum[r][v] : sum[r][v]);
    }
}

// f(r, v, n) for the register blocks of `rows` rows and `vectors` vectors: the first row, the first vector,
// and how many vectors, as a constant.
template <class F>
void each_block(int rows, int vectors, F&& f) {
  for (int v = 0; v < vectors; v += kBlockVectors)
    for (int r = 0; r < rows; r += kBlockRows)
      switch (std::min(kBlockVectors, vectors - v)) {
        case 1:
          f(r, v, std::integral_constant<int, 1>());
          break;
        case 2:
          f(r, v, std::integral_constant<int, 2>());
          break;
        case 3:
          f(r, v, std::integral_constant<int, std::min(3, kBlockVectors)>());
          break;
        default:
          f(r, v, std::integral_constant<int, kBlockVectors>());
      }
}

}  // namespace tile_product_detail

/// C[r,n] = Σ_{k<K} A(r,k)·B[k,n] for r < rows and n < columns, in the order of k. Rows are rounded up to a
/// multiple of kBlockRows and columns to one of kLanes: A, B and C have them, filled with anything. b_row and
/// c_row are the distances of rows in B and C. With kAdd the products are added to C.
template <bool kAdd = false>
void multiply_tile(int rows,
                   int columns,
                   int K,
                   TileFactor a,
                   const float* b,
                   std::ptrdiff_t b_row,
                   float* c,
                   std::ptrdiff_t c_row) {
  using namespace tile_product_detail;
  each_block(rows, (columns + kLanes - 1) / kLanes, [&](int r, int v, auto vectors) {
    multiply_block<vectors, kAdd>(K, {a.data + r * a.row, a.row, a.step}, b + v * kLanes, b_row,
                                  c + r * c_row + v * kLanes, c_row);
  });
}

/// y[c·y_row + r] = x[r·x_row + c] for kLanes rows r and kLanes columns c.
template <class T>
void transpose_square(const T* x, std::ptrdiff_t x_row, float* y, std::ptrdiff_t y_row) {
  Vec row[kLanes];
  for (int r = 0; r < kLanes; ++r)
    row[r] = load(x + r * x_row);
    // Each turn swaps the off-diagonal quarters of all squares of 2·half.
#pragma GCC unroll 4
  for (int half = 1; half < kLanes; half *= 2) {
    VecBits low, high;  // lanes of row r and of row r + half (from kLanes on)
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const unsigned h = static_cast<unsigned>(half);
      low[lane] = lane & h ? kLanes + lane - h : lane;
      high[lane] = lane & h ? kLanes + lane : lane + h;
    }
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) {
      if (r & half) continue;
      const Vec upper = row[r], lower = row[r + half];
      row[r] = __builtin_shuffle(upper, lower, low);
      row[r + half] = __builtin_shuffle(upper, lower, high);
    }
  }
  for (int c = 0; c < kLanes; ++c)
    store(y + c * y_row, row[c]);
}

}  // namespace clx::kernels
