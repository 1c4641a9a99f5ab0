#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile_product.h"

namespace clx::kernels {
namespace {

// C is computed in tiles of a fixed size, each by one thread; a number of C is one sum over k in steps of
// kDepth, whatever its place in a tile, so that neither the threads nor the other rows change a bit of it.
constexpr int kTileM = 96, kTileN = 256, kDepth = 192;
constexpr int kPanel = 64;    // columns of B that lie together
constexpr int kColumns = 64;  // columns of a chunk of column_sum

constexpr int round_up(int n, int multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// to[r·stride + c] = from[r·from_row + c], as f32, zeros after `columns`.
template <class T>
void copy_block(
    int rows, int columns, int padded, const T* from, std::int64_t from_row, float* to, int stride) {
  for (int r = 0; r < rows; ++r, from += from_row, to += stride) {
    int c = 0;
    for (; c + kLanes <= columns; c += kLanes)
      store(to + c, load(from + c));
    if (c < columns) {
      store(to + c, load_first(from + c, columns - c));
      c += kLanes;
    }
    for (; c < padded; ++c)
      to[c] = 0;
  }
}

// to[c·stride + r] = from[r·from_row + c], as f32, zeros after `rows`.
template <class T>
void transpose_block(
    int rows, int columns, int padded, const T* from, std::int64_t from_row, float* to, int stride) {
  int r = 0;
  for (; r + kLanes <= rows; r += kLanes) {
    int c = 0;
    for (; c + kLanes <= columns; c += kLanes)
      transpose_square(from + r * from_row + c, from_row, to + std::ptrdiff_t(c) * stride + r, stride);
    for (; c < columns; ++c)
      for (int i = r; i < r + kLanes; ++i)
        to[std::ptrdiff_t(c) * stride + i] = static_cast<float>(from[i * from_row + c]);
  }
  for (; r < padded; ++r)
    for (int c = 0; c < columns; ++c)
      to[std::ptrdiff_t(c) * stride + r] = r < rows ? static_cast<float>(from[r * from_row + c]) : 0.0f;
}

// B as panels[n/kPanel][k][kPanel].
template <class T>
const float* pack_b(const Cpu& backend, const MatmulShape& s, const T* B) {
  const int panels = (s.N + kPanel - 1) / kPanel;
  const std::size_t floats = static_cast<std::size_t>(panels) * kPanel * static_cast<std::size_t>(s.K);
  auto* packed = static_cast<float*>(backend.workspace(floats * sizeof(float)));
  const int steps = (s.K + kDepth - 1) / kDepth;
  parallel_for(std::int64_t(panels) * steps, [&](std::int64_t i) {
    const int n = static_cast<int>(i / steps) * kPanel, k = static_cast<int>(i % steps) * kDepth;
    const int columns = std::min(kPanel, s.N - n), depth = std::min(kDepth, s.K - k);
    float* const to = packed + (std::ptrdiff_t(n) * s.K + std::ptrdiff_t(k) * kPanel);
    if (s.transpose_b)
      transpose_block(columns, depth, kPanel, B + std::ptrdiff_t(n) * s.K + k, s.K, to, kPanel);
    else
      copy_block(depth, columns, kPanel, B + std::ptrdiff_t(k) * s.N + n, s.N, to, kPanel);
  });
  return packed;
}

// What a thread needs for one tile: a slice of A and the sums.
struct TileMemory {
  // Rows that are no multiples of large powers of two apart, which would share few places of a cache.
  static constexpr int kRowOfA = kDepth + kLanes, kColumnOfA = kTileM + kLanes, kRowOfC = kTileN + kLanes;
  static constexpr int kFloatsOfA = std::max(kTileM * kRowOfA, kDepth* kColumnOfA);
  float a[kFloatsOfA];
  float c[kTileM * kRowOfC];
};

// A slice of A with rows filled up to whole blocks.
template <class T>
TileFactor pack_a(const MatmulShape& s, const T* A, int m, int rows, int k, int depth, float* to) {
  const int padded = round_up(rows, kBlockRows);
  if (s.transpose_a) {
    copy_block(depth, rows, padded, A + std::ptrdiff_t(k) * s.M + m, s.M, to, TileMemory::kColumnOfA);
    return {to, 1, TileMemory::kColumnOfA};
  }
  copy_block(rows, depth, depth, A + std::ptrdiff_t(m) * s.K + k, s.K, to, TileMemory::kRowOfA);
  for (int r = rows; r < padded; ++r)
    std::fill_n(to + r * TileMemory::kRowOfA, depth, 0.0f);
  return {to, TileMemory::kRowOfA, 1};
}

template <class T>
void multiply(const Cpu& backend, const MatmulShape& s, const T* A, const T* B, const float* bias, float* C) {
  const float* const panels = pack_b(backend, s, B);
  auto* const memory =
      static_cast<TileMemory*>(backend.workspace(sizeof(TileMemory) * static_cast<std::size_t>(team_size())));
  const int across = (s.N + kTileN - 1) / kTileN;
  parallel_for(std::int64_t((s.M + kTileM - 1) / kTileM) * across, [&](std::int64_t tile) {
    const int m = static_cast<int>(tile / across) * kTileM, n = static_cast<int>(tile % across) * kTileN;
    const int rows = std::min(kTileM, s.M - m), columns = std::min(kTileN, s.N - n);
    TileMemory& own = memory[team_slot()];
    for (int k = 0; k < s.K; k += kDepth) {
      const int depth = std::min(kDepth, s.K - k);
      const TileFactor a = pack_a(s, A, m, rows, k, depth, own.a);
      const auto multiply_panel = k == 0 ? multiply_tile<false> : multiply_tile<true>;
      for (int j = 0; j < columns; j += kPanel)
        multiply_panel(rows, std::min(kPanel, columns - j), depth, a,
                       panels + std::ptrdiff_t(n + j) * s.K + std::ptrdiff_t(k) * kPanel, kPanel, own.c + j,
                       TileMemory::kRowOfC);
    }
    for (int r = 0; r < rows; ++r) {
      const float* const sums = own.c + std::ptrdiff_t(r) * TileMemory::kRowOfC;
      float* const to = C + std::ptrdiff_t(m + r) * s.N + n;
      for (int j = 0; j < columns; ++j)
        to[j] = bias ? sums[j] + bias[n + j] : sums[j];
    }
  });
}

}  // namespace

void matmul(
    const Cpu& backend, const MatmulShape& s, Math, ConstView A, ConstView B, const float* bias, float* C) {
  with_float_type(A.dtype, [&](auto type) {
    using T = decltype(type);
    multiply(backend, s, A.as<T>(), B.as<T>(), bias, C);
  });
}

void column_sum(const Cpu&, int rows, int cols, const float* x, float* y) {
  parallel_ranges(cols, kColumns, [&](std::int64_t begin, std::int64_t end) {
    double sum[kColumns] = {};
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = begin; c < end; ++c)
        sum[c - begin] += static_cast<double>(x[r * cols + c]);
    for (std::int64_t c = begin; c < end; ++c)
      y[c] = static_cast<float>(sum[c - begin]);
  });
}

}  // namespace clx::kernels
