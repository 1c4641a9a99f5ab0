// The factors of a tiled matrix product C[m,n] = Σ_k A[m,k]·B[n,k], as the tile loops see them.
// Included by kernels/cuda/*.cu only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/launch.h"

namespace clx::kernels {
namespace {

// An operand answers where its element (outer, inner) lies, outer being m for A and n for B, inner being k:
//
//   Element                    float or bf16
//   kInnerContiguous           whether inner neighbours (else outer neighbours) are neighbours in memory
//   Outer outer(int), Inner inner(int)
//                              what is worth computing once per row and once per k; past the end included
//   const Element* at(Outer, Inner)
//                              the element's address, null where the element is 0 (padding, past the end)
//   const Element* base()      any address inside, to point at while copying nothing
//
// A chunk is 16 bytes of neighbours. An operand is loaded by chunks only if its contiguous extent is a
// multiple of the chunk and its memory is aligned: then a chunk is wholly inside or wholly outside.

/// A matrix in memory, rows of `stride` elements. As factor, its outer index is the row if kInnerContiguous_,
/// the column otherwise.
template <class T, bool kInnerContiguous_>
struct MatrixOperand {
  using Element = T;
  static constexpr bool kInnerContiguous = kInnerContiguous_;
  struct Row {
    const T* first;
  };
  struct Column {
    int index;  // −1 past the end
  };
  using Outer = std::conditional_t<kInnerContiguous, Row, Column>;
  using Inner = std::conditional_t<kInnerContiguous, Column, Row>;

  const T* data = nullptr;
  int rows = 0, columns = 0;

  __device__ __forceinline__ Row row(int i) const {
    return {i < rows ? data + std::int64_t(i) * columns : nullptr};
  }
  __device__ __forceinline__ Column column(int j) const { return {j < columns ? j : -1}; }
  __device__ __forceinline__ Outer outer(int i) const {
    if constexpr (kInnerContiguous)
      return row(i);
    else
      return column(i);
  }
  __device__ __forceinline__ Inner inner(int k) const {
    if constexpr (kInnerContiguous)
      return column(k);
    else
      return row(k);
  }
  __device__ __forceinline__ const T* at(Row r, Column c) const {
    return r.first != nullptr && c.index >= 0 ? r.first + c.index : nullptr;
  }
  __device__ __forceinline__ const T* at(Column c, Row r) const { return at(r, c); }
  __device__ __forceinline__ const T* base() const { return data; }
};

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Tiles below which larger ones would leave multiprocessors idle.
constexpr int kFillsGpu = 128;

inline std::int64_t count_tiles(std::int64_t M, std::int64_t N, int BM, int BN) {
  return ceil_div(M, BM) * ceil_div(N, BN);
}

/// Two neighbouring results, stored at once.
template <class T>
struct alignas(2 * sizeof(T)) Pair {
  T v[2];
};

/// Whether `p` may be read or written `bytes` at a time.
inline bool is_aligned(const void* p, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
}

/// Stores results of a row-major matrix of `columns` columns, bias added.
struct StoreMatrix {
  float* data = nullptr;
  int rows = 0, columns = 0;
  const float* bias = nullptr;

  __device__ __forceinline__ void pair(int m, int n, float v0, float v1) const {
    if (m >= rows || n >= columns) return;
    float* to = data + std::int64_t(m) * columns + n;
    to[0] = v0 + (bias != nullptr ? bias[n] : 0.f);
    if (n + 1 < columns) to[1] = v1 + (bias != nullptr ? bias[n + 1] : 0.f);
  }
};

}  // namespace
}  // namespace clx::kernels
