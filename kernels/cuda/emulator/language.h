// The CUDA language for g++: qualifiers, built-in variables, barriers, warp functions, atomics, bits and
// fast maths. What nvcc would know without an include.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <math.h>
#include <source_location>
#include <type_traits>

#include "kernels/cuda/emulator/thread.h"
#include "kernels/cuda/emulator/vectors.h"

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))

#define threadIdx (::clx::emulator::current->thread_index)
#define blockIdx (::clx::emulator::current->block_index)
#define blockDim (::clx::emulator::current->block_dim)
#define gridDim (::clx::emulator::current->grid_dim)
#define warpSize 32

#define CLX_EMULATOR_HERE ::clx::emulator::Site site = std::source_location::current()

// Barriers and fences. The emulator is sequentially consistent within a block.
inline void __syncthreads(CLX_EMULATOR_HERE) {
  clx::emulator::barrier_sync(0, 0, site);
}
inline int __syncthreads_count(int predicate, CLX_EMULATOR_HERE) {
  return clx::emulator::barrier_vote(clx::emulator::Vote::count, predicate != 0, site);
}
inline int __syncthreads_and(int predicate, CLX_EMULATOR_HERE) {
  return clx::emulator::barrier_vote(clx::emulator::Vote::all, predicate != 0, site);
}
inline int __syncthreads_or(int predicate, CLX_EMULATOR_HERE) {
  return clx::emulator::barrier_vote(clx::emulator::Vote::any, predicate != 0, site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, CLX_EMULATOR_HERE) {
  clx::emulator::warp_collective(
      mask, [](void* const*, std::uint32_t) {}, nullptr, true, site);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __nanosleep(unsigned) {
  clx::emulator::yield();
}

// Warp functions.
#define CLX_EMULATED_SHUFFLE(name, kind)                                                        \
  template <class T>                                                                            \
  T name(unsigned mask, T value, int lane, int width = 32, CLX_EMULATOR_HERE) {                 \
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);                           \
    std::uint64_t bits = 0;                                                                     \
    std::memcpy(&bits, &value, sizeof value);                                                   \
    bits = clx::emulator::shuffle(mask, clx::emulator::Shuffle::kind, bits, lane, width, site); \
    std::memcpy(&value, &bits, sizeof value);                                                   \
    return value;                                                                               \
  }
CLX_EMULATED_SHUFFLE(__shfl_sync, index)
CLX_EMULATED_SHUFFLE(__shfl_up_sync, up)
CLX_EMULATED_SHUFFLE(__shfl_down_sync, down)
CLX_EMULATED_SHUFFLE(__shfl_xor_sync, exclusive_or)
#undef CLX_EMULATED_SHUFFLE

inline unsigned __ballot_sync(unsigned mask, int predicate, CLX_EMULATOR_HERE) {
  return clx::emulator::ballot(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, CLX_EMULATOR_HERE) {
  return clx::emulator::ballot(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CLX_EMULATOR_HERE) {
  return clx::emulator::ballot(mask, predicate != 0, site) == mask;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, CLX_EMULATOR_HERE) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return clx::emulator::match_any(mask, bits, site);
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value, CLX_EMULATOR_HERE) {
  return clx::emulator::reduce(mask, clx::emulator::Reduction::add, value, site);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value, CLX_EMULATOR_HERE) {
  return clx::emulator::reduce(mask, clx::emulator::Reduction::max, value, site);
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value, CLX_EMULATOR_HERE) {
  return clx::emulator::reduce(mask, clx::emulator::Reduction::min, value, site);
}

// Atomics: real ones, because several host threads may run blocks at the same time.
namespace clx::emulator {
template <class T, class F>
T atomic_update(T* p, F next) {
  before_atomic(p, sizeof(T));
  std::atomic_ref<T> word(*p);
  T old = word.load();
  while (!word.compare_exchange_weak(old, next(old))) {
  }
  return old;
}
}  // namespace clx::emulator

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return clx::emulator::atomic_update(p, [v](T old) { return T(old + v); });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  return clx::emulator::atomic_update(p, [v](T old) { return old < v ? v : old; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  return clx::emulator::atomic_update(p, [v](T old) { return v < old ? v : old; });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return clx::emulator::atomic_update(p, [v](T old) { return T(old | v); });
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
  return clx::emulator::atomic_update(p, [v](T old) { return T(old & v); });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return clx::emulator::atomic_update(p, [v](T) { return v; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return clx::emulator::atomic_update(p, [expected, v](T old) { return old == expected ? v : old; });
}
inline unsigned atomicInc(unsigned* p, unsigned limit) {
  return clx::emulator::atomic_update(p, [limit](unsigned old) { return old >= limit ? 0 : old + 1; });
}

// Loads and stores with a cache hint.
template <class T>
__forceinline__ T __ldg(const T* p) {
  return *p;
}
template <class T>
__forceinline__ T __ldcs(const T* p) {
  return *p;
}
template <class T>
__forceinline__ void __stcs(T* p, T v) {
  *p = v;
}

// Bits.
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
  return std::popcount(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}

// Maths. The fast forms are exact here: compare their results with a tolerance.
inline float __expf(float x) {
  return expf(x);
}
inline float __logf(float x) {
  return logf(x);
}
inline float __powf(float x, float y) {
  return powf(x, y);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __frcp_rn(float x) {
  return 1.0f / x;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __fsqrt_rn(float x) {
  return sqrtf(x);
}
inline float __fmaf_rn(float a, float b, float c) {
  return fmaf(a, b, c);
}
inline float __saturatef(float x) {
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}
inline float rsqrtf(float x) {
  return 1.0f / sqrtf(x);
}
inline double rsqrt(double x) {
  return 1.0 / sqrt(x);
}
template <class T>
T min(T a, std::type_identity_t<T> b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, std::type_identity_t<T> b) {
  return a < b ? b : a;
}
