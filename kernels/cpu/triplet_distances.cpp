#include "kernels/cpu/triplet_distances.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace clx::kernels {
namespace {

constexpr int kTile = 64;                       // rows of a tile's side
constexpr int kRows = 4;                        // of x that are held against a tile's columns at once
constexpr int kVectors = kLanes == 16 ? 4 : 2;  // of columns, whose sums are in registers at once
constexpr int kFeatures =
    256;  // summed before they are added to the tile: fewer roundings, and 64 KiB at a time

// squares[r][…] += Σ_d (row_r[d] − panel[d][…])² over n features, for kVectors vectors of columns.
void add_squares(const float* const (&row)[kRows], const float* panel, int n, float* squares) {
  Vec sum[kRows][kVectors] = {};
  for (int d = 0; d < n; ++d) {
    Vec column[kVectors];
    for (int v = 0; v < kVectors; ++v)
      column[v] = load(panel + d * kTile + v * kLanes);
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVectors; ++v) {
        const Vec difference = row[r][d] - column[v];
        sum[r][v] += difference * difference;
      }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v)
      store(squares + r * kTile + v * kLanes, load(squares + r * kTile + v * kLanes) + sum[r][v]);
}

}  // namespace

void triplet_distances(const Cpu& backend, int N, int D, const float* x, float* distances) {
  // Tile t of the samples as (D, kTile), so that neighbours in memory are samples; zeros past the end.
  const std::int64_t tiles = (N + kTile - 1) / kTile, panel_size = std::int64_t(D) * kTile;
  auto* panels = static_cast<float*>(backend.workspace(sizeof(float) * tiles * panel_size));
  parallel_for(tiles, [&](std::int64_t t) {
    for (int lane = 0; lane < kTile; ++lane)
      for (int d = 0; d < D; ++d) {
        const std::int64_t j = t * kTile + lane;
        panels[t * panel_size + d * kTile + lane] = j < N ? x[j * D + d] : 0;
      }
  });
  parallel_for(tiles * tiles, [&](std::int64_t tile) {
    const std::int64_t i0 = tile / tiles * kTile, t = tile % tiles, j0 = t * kTile;
    if (j0 < i0) return;
    float squares[kTile][kTile] = {};
    for (int d = 0; d < D; d += kFeatures)
      for (int i = 0; i < kTile && i0 + i < N; i += kRows) {
        const float* row[kRows];
        for (int r = 0; r < kRows; ++r)
          row[r] = x + std::min<std::int64_t>(N - 1, i0 + i + r) * D + d;
        for (int j = 0; j < kTile; j += kVectors * kLanes)
          add_squares(row, panels + t * panel_size + std::int64_t(d) * kTile + j, std::min(kFeatures, D - d),
                      squares[i] + j);
      }
    const std::int64_t rows = std::min<std::int64_t>(kTile, N - i0),
                       columns = std::min<std::int64_t>(kTile, N - j0);
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j)
        distances[(i0 + i) * N + j0 + j] = squares[i][j] = std::sqrt(squares[i][j]);
    if (i0 == j0) return;
    for (std::int64_t j = 0; j < columns; ++j)
      for (std::int64_t i = 0; i < rows; ++i)
        distances[(j0 + j) * N + i0 + i] = squares[i][j];
  });
}

}  // namespace clx::kernels
