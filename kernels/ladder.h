// The teaching ladder: a matrix product, a convolution and a sum, each by a row of kernels ("rungs") of which
// every one adds one idea to the one before. docs/ladder.md walks through them; what the framework itself
// uses is in matmul.h and conv2d.h.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/bf16.h"
#include "kernels/conv2d.h"

namespace clx::kernels::ladder {

/// C (M,N) = A (M,K) · B (K,N), row-major; operands bf16, C f32 and overwritten; sums in f32, in a fixed
/// order. N and K are multiples of 8, A and B are aligned to 16 bytes; no aliasing.
template <class Backend>
using Matmul = void(const Backend&, int M, int N, int K, const bf16* A, const bf16* B, float* C);

/// y = conv(x, w) as conv2d_forward without an epilogue; operands bf16, y f32 and overwritten; sums in f32,
/// in a fixed order. C is a multiple of 8, x and w are aligned to 16 bytes; no aliasing.
template <class Backend>
using Conv = void(const Backend&, const Conv2dShape&, const bf16* x, const bf16* w, float* y);

/// *y = Σ x[i] over n ≥ 1 numbers, in an order that depends on n alone. x is aligned to 16 bytes.
template <class Backend>
using Sum = void(const Backend&, std::int64_t n, const float* x, float* y);

Matmul<Cuda> matmul_1_naive, matmul_2_coalesced, matmul_3_shared_tile, matmul_4_register_tile,
    matmul_5_tensor_core, matmul_6_wgmma;
Matmul<Emulated> matmul_1_naive, matmul_2_coalesced, matmul_3_shared_tile, matmul_4_register_tile,
    matmul_5_tensor_core, matmul_6_wgmma;

Conv<Cuda> conv_1_direct, conv_2_implicit_gemm, conv_3_register_tile, conv_4_tensor_core;
Conv<Emulated> conv_1_direct, conv_2_implicit_gemm, conv_3_register_tile, conv_4_tensor_core;

Sum<Cuda> sum_1_naive, sum_2_coalesced, sum_3_shared_tree, sum_4_warp_shuffle, sum_5_vectorised;
Sum<Emulated> sum_1_naive, sum_2_coalesced, sum_3_shared_tree, sum_4_warp_shuffle, sum_5_vectorised;

/// Whether the device has wgmma and TMA as matmul_6_wgmma uses them: compute capability 9.0. Elsewhere it
/// throws std::runtime_error.
bool has_wgmma(const Cuda&);
bool has_wgmma(const Emulated&);

template <class Function>
struct Rung {
  const char* name;
  Function* run;
  bool needs_wgmma = false;
};

template <class Backend>
inline constexpr Rung<Matmul<Backend>> kMatmulRungs[] = {{"1_naive", matmul_1_naive},
                                                         {"2_coalesced", matmul_2_coalesced},
                                                         {"3_shared_tile", matmul_3_shared_tile},
                                                         {"4_register_tile", matmul_4_register_tile},
                                                         {"5_tensor_core", matmul_5_tensor_core},
                                                         {"6_wgmma", matmul_6_wgmma, true}};
template <class Backend>
inline constexpr Rung<Conv<Backend>> kConvRungs[] = {{"1_direct", conv_1_direct},
                                                     {"2_implicit_gemm", conv_2_implicit_gemm},
                                                     {"3_register_tile", conv_3_register_tile},
                                                     {"4_tensor_core", conv_4_tensor_core}};
template <class Backend>
inline constexpr Rung<Sum<Backend>> kSumRungs[] = {{"1_naive", sum_1_naive},
                                                   {"2_coalesced", sum_2_coalesced},
                                                   {"3_shared_tree", sum_3_shared_tree},
                                                   {"4_warp_shuffle", sum_4_warp_shuffle},
                                                   {"5_vectorised", sum_5_vectorised}};

}  // namespace clx::kernels::ladder
