// Sums over the rows of an (M,C) matrix, per channel: chunks of rows, each summed in registers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/batchnorm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace clx::kernels {

/// How an (M,C) matrix is cut: by its shape alone.
struct RowChunks {
  std::int64_t M, rows, count;
  int C, padded;  // padded: C rounded up to whole vectors

  explicit RowChunks(BatchNormShape s)
      : M(s.M),
        rows(std::clamp<std::int64_t>(32768 / s.C, 1, 1024)),
        count((s.M + rows - 1) / rows),
        C(s.C),
        padded((s.C + kLanes - 1) / kLanes * kLanes) {}

  std::int64_t begin(std::int64_t chunk) const { return chunk * rows; }
  std::int64_t end(std::int64_t chunk) const { return std::min(M, (chunk + 1) * rows); }
};

/// A pair of sums over the rows [begin, end) of V·kLanes channels from channel c. `term(row, c, v)` returns
/// the two vectors to add, v counting vectors from c. Rows are summed 4/V side by side.
template <int V, class Term>
void sum_rows(std::int64_t begin, std::int64_t end, int c, Term&& term, float* first, float* second) {
  constexpr int kSide = 4 / V;
  Vec a[kSide][V] = {}, b[kSide][V] = {};
  std::int64_t r = begin;
  for (; r + kSide <= end; r += kSide)
    for (int u = 0; u < kSide; ++u)
      for (int v = 0; v < V; ++v) {
        const auto [p, q] = term(r + u, c, v);
        a[u][v] += p;
        b[u][v] += q;
      }
  for (; r < end; ++r)
    for (int v = 0; v < V; ++v) {
      const auto [p, q] = term(r, c, v);
      a[0][v] += p;
      b[0][v] += q;
    }
  for (int v = 0; v < V; ++v) {
    for (int u = 1; u < kSide; ++u) {
      a[0][v] += a[u][v];
      b[0][v] += b[u][v];
    }
    store(first + c + v * kLanes, a[0][v]);
    store(second + c + v * kLanes, b[0][v]);
  }
}

struct TwoVecs {
  Vec first, second;
};

/// Both sums of all channels of one chunk. `term(row, c, width)` loads kLanes channels from c, of which
/// `width` exist.
template <class Term>
void sum_chunk(const RowChunks& chunks, std::int64_t chunk, Term&& term, float* first, float* second) {
  const std::int64_t begin = chunks.begin(chunk), end = chunks.end(chunk);
  const auto whole = [&](std::int64_t r, int c, int v) { return term(r, c + v * kLanes, kLanes); };
  int c = 0;
  for (; c + 4 * kLanes <= chunks.C; c += 4 * kLanes)
    sum_rows<4>(begin, end, c, whole, first, second);
  for (; c + kLanes <= chunks.C; c += kLanes)
    sum_rows<1>(begin, end, c, whole, first, second);
  if (c < chunks.C)
    sum_rows<1>(
        begin, end, c, [&](std::int64_t r, int from, int) { return term(r, from, chunks.C - from); }, first,
        second);
}

/// Loads kLanes channels of which `width` exist.
template <class T>
Vec load_channels(const T* p, int width) {
  return width >= kLanes ? load(p) : load_first(p, width);
}

}  // namespace clx::kernels
