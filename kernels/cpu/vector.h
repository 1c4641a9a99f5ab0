// As many floats at a time as a register of the machine holds (8 if less), loaded from and stored to f32 or
// bf16 memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "kernels/bf16.h"

namespace clx::kernels {

#ifdef __AVX512F__
inline constexpr int kLanes = 16;
#else
inline constexpr int kLanes = 8;
#endif
using Vec = float __attribute__((vector_size(4 * kLanes)));
using VecBits = std::uint32_t __attribute__((vector_size(4 * kLanes)));
using VecInt = std::int32_t __attribute__((vector_size(4 * kLanes)));
using VecHalf = std::uint16_t __attribute__((vector_size(2 * kLanes)));
/// One bit for each lane.
using LaneBits = std::conditional_t<kLanes == 16, std::uint16_t, std::uint8_t>;

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline Vec load(const bf16* p) {
#ifdef __AVX512F__
  // g++ 12 makes five instructions of the lines below.
  const VecBits bits = reinterpret_cast<VecBits>(_mm512_maskz_cvtepu16_epi32(
                           0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))))
                       << 16;
#else
  VecHalf half;
  std::memcpy(&half, p, sizeof half);
  const VecBits bits = __builtin_convertvector(half, VecBits) << 16;
#endif
  Vec v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

inline void store(float* p, Vec v) {
  std::memcpy(static_cast<void*>(p), &v, sizeof v);
}
/// Rounds to nearest even, NaN to 0x7fff, as bf16's constructor does.
inline void store(bf16* p, Vec v) {
#ifdef __AVX512BF16__
  // The instruction does so but for NaN and subnormal numbers.
  constexpr int kNaN = 0x81, kSubnormal = 0x20;
  if (_mm512_fpclass_ps_mask(reinterpret_cast<__m512>(v), kNaN | kSubnormal) == 0) [[likely]] {
    const __m256bh half = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
    std::memcpy(static_cast<void*>(p), &half, sizeof half);
    return;
  }
#endif
  VecBits bits;
  std::memcpy(&bits, &v, sizeof bits);
  const VecBits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const VecBits is_nan = VecBits((bits & 0x7fffffffu) > 0x7f800000u);
  const VecHalf half = __builtin_convertvector((rounded & ~is_nan) | (is_nan & 0x7fffu), VecHalf);
  std::memcpy(static_cast<void*>(p), &half, sizeof half);
}

/// The first n < kLanes lanes from memory, zeros after them.
template <class T>
Vec load_first(const T* p, int n) {
  T lanes[kLanes] = {};
  std::memcpy(static_cast<void*>(lanes), p, sizeof(T) * n);
  return load(lanes);
}
template <class T>
void store_first(T* p, Vec v, int n) {
  T lanes[kLanes];
  store(lanes, v);
  std::memcpy(static_cast<void*>(p), lanes, sizeof(T) * n);
}

inline Vec broadcast(float x) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_set1_ps(x));
#elif defined(__AVX2__)
  return reinterpret_cast<Vec>(_mm256_set1_ps(x));
#else
  return Vec{x, x, x, x, x, x, x, x};
#endif
}

/// a·b + c, rounded once where the machine can.
inline Vec multiply_add(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(
      _mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__AVX2__) && defined(__FMA__)
  return reinterpret_cast<Vec>(
      _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#else
  return a * b + c;
#endif
}

/// Σ of the lanes, by halves.
inline float sum_of_lanes(Vec v) {
  float lane[kLanes];
  std::memcpy(lane, &v, sizeof lane);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i)
      lane[i] += lane[i + half];
  return lane[0];
}

/// max(v, 0); NaN stays NaN.
inline Vec relu(Vec v) {
  return v < Vec{} ? Vec{} : v;
}

/// Bit i says whether lane i is > 0.
inline LaneBits positive_lanes(Vec v) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(v), _mm512_setzero_ps(), _CMP_GT_OQ);
#elif defined(__AVX2__)
  return static_cast<LaneBits>(
      _mm256_movemask_ps(_mm256_cmp_ps(reinterpret_cast<__m256>(v), _mm256_setzero_ps(), _CMP_GT_OQ)));
#else
  unsigned bits = 0;
  for (int i = 0; i < kLanes; ++i)
    bits |= static_cast<unsigned>(v[i] > 0) << i;
  return static_cast<LaneBits>(bits);
#endif
}

/// Lanes whose bit is set, 0 elsewhere.
inline Vec keep_lanes(LaneBits bits, Vec v) {
#ifdef __AVX512F__
  return reinterpret_cast<Vec>(_mm512_maskz_mov_ps(bits, reinterpret_cast<__m512>(v)));
#else
  const VecBits lane = {1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7};
  return ((lane & bits) != 0) ? v : Vec{};
#endif
}

/// Lane i of the result is lane index[i] of `a`, or of `b` for indices from kLanes on.
inline Vec pick(Vec a, Vec b, VecBits index) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_permutex2var_ps(
      reinterpret_cast<__m512>(a), reinterpret_cast<__m512i>(index), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
  const auto at = reinterpret_cast<__m256i>(index);
  const Vec from_a = reinterpret_cast<Vec>(_mm256_permutevar8x32_ps(reinterpret_cast<__m256>(a), at));
  const Vec from_b = reinterpret_cast<Vec>(_mm256_permutevar8x32_ps(reinterpret_cast<__m256>(b), at));
  return index < kLanes ? from_a : from_b;
#else
  float lanes[2 * kLanes];
  store(lanes, a);
  store(lanes + kLanes, b);
  Vec v;
  for (int i = 0; i < kLanes; ++i)
    v[i] = lanes[index[i]];
  return v;
#endif
}

}  // namespace clx::kernels
