// Products of tiles of 16-bit integers, two channels to a 32-bit lane: twice the products of f32 in an
// instruction.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/tile_product.h"
#include "kernels/cpu/vector.h"

namespace clx::kernels {

/// Two 16-bit integers, the first in the lower half.
using Pair = std::int32_t;

inline VecInt load(const Pair* p) {
  VecInt v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/// v to the nearest integers, ties to even, those beyond 16 bits to the nearest that has them; of NaN,
/// anything.
inline void store_rounded(std::int16_t* to, Vec v) {
#if defined(__AVX512F__)
  const __m512i integers = _mm512_maskz_cvtps_epi32(0xffff, reinterpret_cast<__m512>(v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_maskz_cvtsepi32_epi16(0xffff, integers));
#elif defined(__AVX2__)
  const __m256i integers = _mm256_cvtps_epi32(reinterpret_cast<__m256>(v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1)));
#else
  std::int16_t integers[kLanes];
  for (int i = 0; i < kLanes; ++i)
    integers[i] = static_cast<std::int16_t>(std::lrint(std::clamp(v[i], -32768.0f, 32767.0f)));
  std::memcpy(to, integers, sizeof integers);
#endif
}

/// sum + a₀·b₀ + a₁·b₁ in each lane, modulo 2³²: what was rounded from NaN may be any integers.
inline VecInt add_products_of_pairs(VecInt sum, VecInt a, VecInt b) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<VecInt>(_mm512_dpwssd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#else
  using Modular = std::uint32_t __attribute__((vector_size(sizeof(VecInt))));
#if defined(__AVX512BW__)
  const auto products = reinterpret_cast<Modular>(
      _mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__) && !defined(__AVX512F__)
  const auto products = reinterpret_cast<Modular>(
      _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  const auto products = reinterpret_cast<Modular>((a << 16 >> 16) * (b << 16 >> 16)) +
                        reinterpret_cast<Modular>((a >> 16) * (b >> 16));
#endif
  return reinterpret_cast<VecInt>(reinterpret_cast<Modular>(sum) + products);
#endif
}

namespace pair_product_detail {

template <int V, bool kAdd>
void multiply_block(int pairs,
                    const Pair* a,
                    std::ptrdiff_t a_row,
                    const Pair* b,
                    std::ptrdiff_t b_row,
                    const float* a_unit,
                    const float* b_unit,
                    float* c,
                    std::ptrdiff_t c_row) {
  VecInt sum[kBlockRows][V] = {};
  for (int k = 0; k < pairs; ++k, b += b_row) {
    VecInt from_b[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      from_b[v] = load(b + v * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kBlockRows; ++r) {
      const VecInt from_a = VecInt{} + a[r * a_row + k];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[r][v] = add_products_of_pairs(sum[r][v], from_a, from_b[v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kBlockRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* to = c + r * c_row + v * kLanes;
      const Vec products = __builtin_convertvector(sum[r][v], Vec),
                unit = load(b_unit + v * kLanes) * a_unit[r];
      store(to, kAdd ? multiply_add(products, unit, load(to)) : products * unit);
    }
}

}  // namespace pair_product_detail

/// C[r,n] = a_unit[r]·b_unit[n]·Σ_{k<pairs} (A[r,k]₀·B[k,n]₀ + A[r,k]₁·B[k,n]₁) for r < rows and n < columns;
/// with kAdd, that is added to C. The sums must fit into 32 bits. Rows are rounded up as by multiply_tile;
/// columns are whole vectors.
template <bool kAdd = false>
void multiply_pairs(int rows,
                    int columns,
                    int pairs,
                    const Pair* a,
                    std::ptrdiff_t a_row,
                    const float* a_unit,
                    const Pair* b,
                    std::ptrdiff_t b_row,
                    const float* b_unit,
                    float* c,
                    std::ptrdiff_t c_row) {
  tile_product_detail::each_block(rows, columns / kLanes, [&](int r, int v, auto vectors) {
    pair_product_detail::multiply_block<vectors, kAdd>(pairs, a + r * a_row, a_row, b + v * kLanes, b_row,
                                                       a_unit + r, b_unit + v * kLanes,
                                                       c + r * c_row + v * kLanes, c_row);
  });
}

}  // namespace clx::kernels
