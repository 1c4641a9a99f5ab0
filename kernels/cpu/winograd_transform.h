// The linear maps of Winograd's F(4×4,3×3), a vector of channels at a time.
//
// Six products give four neighbouring outputs of a convolution by three taps: y = Aᵀ((G·w) ⊙ (Bᵀ·d)), where
// d are the six inputs that they see; it is the product of two polynomials by way of their values at 0, 1,
// −1, 2, −2 and ∞. In two dimensions each map is applied to columns, then to rows.
// Source: Lavin & Gray 2015, arXiv:1509.09308, §4.3.
#pragma once

#include <array>

#include "kernels/cpu/vector.h"

namespace clx::kernels::winograd {

inline constexpr int kTile = 4;                  // outputs of a tile in each dimension
inline constexpr int kTaps = 3;                  // of the filters
inline constexpr int kSpan = kTile + kTaps - 1;  // inputs of a tile
inline constexpr int kPoints = kSpan * kSpan;    // products of a tile

template <int n>
using Line = std::array<Vec, n>;

// The points ±a and ±b, powers of which are exact in f32. Among simple fractions they lose few bits: with the
// more common 1 and 2 errors are four times as large.
inline constexpr float kA = 5.0f / 8, kB = 3.0f / 2;
inline constexpr float kA2 = kA * kA, kB2 = kB * kB, kA3 = kA2 * kA, kB3 = kB2 * kB;

/// Bᵀ·d.
inline Line<6> input_line(const Line<6>& d) {
  const Vec e = d[4] - kB2 * d[2], f = d[3] - kB2 * d[1], g = d[4] - kA2 * d[2], h = d[3] - kA2 * d[1];
  return {kA2 * kB2 * d[0] - (kA2 + kB2) * d[2] + d[4], e + kA * f, e - kA * f, g + kB * h, g - kB * h,
          kA2 * kB2 * d[1] - (kA2 + kB2) * d[3] + d[5]};
}

// 1/∏(point − other points) of ±a and ±b.
inline constexpr float kWeightA = 1 / (2 * kA2 * (kA2 - kB2)), kWeightB = 1 / (2 * kB2 * (kB2 - kA2));

/// G·w.
inline Line<6> filter_line(const Line<3>& w) {
  const Vec e = kWeightA * w[0] + kWeightA * kA2 * w[2], f = kWeightA * kA * w[1];
  const Vec g = kWeightB * w[0] + kWeightB * kB2 * w[2], h = kWeightB * kB * w[1];
  return {w[0] * (1 / (kA2 * kB2)), e + f, e - f, g + h, g - h, w[2]};
}

/// Aᵀ·m.
inline Line<4> output_line(const Line<6>& m) {
  const Vec s = m[1] + m[2], d = m[1] - m[2], t = m[3] + m[4], e = m[3] - m[4];
  return {m[0] + s + t, kA * d + kB * e, kA2 * s + kB2 * t, kA3 * d + kB3 * e + m[5]};
}

/// A·g, for the gradient of outputs.
inline Line<6> gradient_line(const Line<4>& g) {
  const Vec c = g[0] + kA2 * g[2], d = kA * g[1] + kA3 * g[3];
  const Vec e = g[0] + kB2 * g[2], f = kB * g[1] + kB3 * g[3];
  return {g[0], c + d, c - d, e + f, e - f, g[3]};
}

/// Gᵀ·u, for the gradient of filters.
inline Line<3> filter_gradient_line(const Line<6>& u) {
  const Vec s = kWeightA * (u[1] + u[2]), d = kWeightA * (u[1] - u[2]);
  const Vec t = kWeightB * (u[3] + u[4]), e = kWeightB * (u[3] - u[4]);
  return {u[0] * (1 / (kA2 * kB2)) + s + t, kA * d + kB * e, kA2 * s + kB2 * t + u[5]};
}

/// One of the maps above in two dimensions: a square of `from`² vectors, row by row, becomes one of `to`²,
/// which `put(row, column, v)` takes.
template <int from, int to, class Map, class Get, class Put>
void transform(Map&& map, Get&& get, Put&& put) {
  Vec half[to][from];
#pragma GCC unroll 6
  for (int j = 0; j < from; ++j) {
    Line<from> column;
#pragma GCC unroll 6
    for (int i = 0; i < from; ++i)
      column[i] = get(i, j);
    const Line<to> mapped = map(column);
#pragma GCC unroll 6
    for (int i = 0; i < to; ++i)
      half[i][j] = mapped[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < to; ++i) {
    Line<from> row;
#pragma GCC unroll 6
    for (int j = 0; j < from; ++j)
      row[j] = half[i][j];
    const Line<to> mapped = map(row);
#pragma GCC unroll 6
    for (int j = 0; j < to; ++j)
      put(i, j, mapped[j]);
  }
}

}  // namespace clx::kernels::winograd
