// Several neighbouring elements in one go: 8 channels are one 16-byte (bf16) or two 16-byte (f32) accesses.
// Included by kernels/cuda/*.cu only.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/launch.h"
#include "kernels/dtype.h"

namespace clx::kernels {
namespace {

constexpr int kPack = 8;

template <class T, int V>
struct alignas(V * sizeof(T) < 16 ? V * sizeof(T) : 16) Pack {
  T v[V];
};

/// out = p[0 … V − 1] as floats. p is aligned like Pack<T, V>.
template <int V, class T>
__device__ __forceinline__ void load(const T* p, float (&out)[V]) {
  const Pack<T, V> pack = *reinterpret_cast<const Pack<T, V>*>(p);
#pragma unroll
  for (int i = 0; i < V; ++i)
    out[i] = static_cast<float>(pack.v[i]);
}

/// p[0 … V − 1] = in, rounded to T.
template <int V, class T>
__device__ __forceinline__ void store(T* p, const float (&in)[V]) {
  Pack<T, V> pack;
#pragma unroll
  for (int i = 0; i < V; ++i)
    pack.v[i] = static_cast<T>(in[i]);
  *reinterpret_cast<Pack<T, V>*>(p) = pack;
}

/// Whether every pointer may be read in packs; null is.
template <class... P>
bool aligned(const P*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

/// Calls `f` with the number of elements a thread takes at once, as a constant: kPack or 1.
template <class F>
void with_pack(bool wide, F&& f) {
  if (wide)
    f(std::integral_constant<int, kPack>{});
  else
    f(std::integral_constant<int, 1>{});
}

}  // namespace
}  // namespace clx::kernels
