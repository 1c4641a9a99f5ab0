// What: the convolution y, its data gradient dx and its weight gradient dw (formulas: conv2d_operands.cuh)
//   as products of a matrix of patches that is never stored. This file: which kernel runs, and the kernels
//   for exact f32; bf16 and tf32 run on the tensor cores, bf16 of many channels by those of sm_90a. cuDNN,
//   where it is chosen, has the epilogue in a pass of its own: one thread per result.
// Who: the grid covers the result with tiles of 64×64 or 128×128, filters (or channels) fastest, so that
//   neighbouring blocks share patches; a block of 256 threads walks over k in steps of 16; a thread owns 4×4
//   or 8×8 results. dx: blockIdx.z is a phase (h mod stride, w mod stride). dw: blockIdx.z is a run of
//   positions; a second kernel adds the runs in their order.
// Where: two tiles of 16×(64 + 4) or 16×(128 + 4) floats (8.5 or 16.5 KiB) in shared memory, the next two in
//   registers; partial sums of dw in scratch.
// Limit: f32 multiply-adds; each number read from shared memory is used 4 or 8 times.
#include "kernels/conv2d.h"

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/conv2d_operands.cuh"
#include "kernels/cuda/conv2d_tensor_core.h"
#include "kernels/cuda/conv2d_wgmma.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/sum_runs.cuh"
#include "kernels/cuda/tile_f32.cuh"

namespace clx::kernels {
namespace {

template <int T>
__global__ void __launch_bounds__(kTileThreads)
    forward_kernel(const __grid_constant__ ForwardProduct<float> product, int n_tiles) {
  const int m0 = blockIdx.x / n_tiles * (16 * T), n0 = blockIdx.x % n_tiles * (16 * T);
  multiply_tile_f32<T>(product.a, product.b, m0, n0, 0, product.a.taps, product.store);
}

template <int T>
__global__ void __launch_bounds__(kTileThreads)
    backward_data_kernel(const __grid_constant__ Phases<float> phases, int n_tiles) {
  const PhaseProduct<float>& product = phases.phase[blockIdx.z];
  const int m0 = blockIdx.x / n_tiles * (16 * T), n0 = blockIdx.x % n_tiles * (16 * T);
  if (m0 >= product.a.positions) return;  // the whole block: this phase is smaller than the largest
  multiply_tile_f32<T>(product.a, product.b, m0, n0, 0, product.a.taps, product.store);
}

template <int T>
__global__ void __launch_bounds__(kTileThreads)
    backward_weight_kernel(const __grid_constant__ WeightProduct<float> product, int n_tiles) {
  const int m0 = blockIdx.x / n_tiles * (16 * T), n0 = blockIdx.x % n_tiles * (16 * T);
  const int begin = blockIdx.z * product.split, end = min(product.positions, begin + product.split);
  multiply_tile_f32<T>(product.a, product.b, m0, n0, begin, end, product.store(blockIdx.z));
}

constexpr int kEpilogueThreads = 256;

template <class T>
__global__ void __launch_bounds__(kEpilogueThreads)
    epilogue_kernel(std::int64_t n, int K, const float* bias, const T* residual, bool relu, T* y) {
  const std::int64_t i = std::int64_t(blockIdx.x) * kEpilogueThreads + threadIdx.x;
  if (i >= n) return;
  float v = static_cast<float>(y[i]);
  if (bias != nullptr) v += bias[i % K];
  if (residual != nullptr) v += static_cast<float>(residual[i]);
  y[i] = T(relu && v < 0.f ? 0.f : v);  // a NaN stays one
}

/// Calls f with 8 (tiles of 128×128) if `large`, else with 4 (64×64). The choice changes no bit of a result:
/// each is a sum in the order of k.
template <class F>
void with_tile(bool large, F&& f) {
  if (large)
    f(std::integral_constant<int, 8>{});
  else
    f(std::integral_constant<int, 4>{});
}
bool fills_gpu(std::int64_t M, std::int64_t N) {
  return N > 64 && count_tiles(M, N, 128, 128) >= kFillsGpu;
}

bool on_tensor_cores(DType dtype, Math math) {
  return dtype == DType::bf16 || math == Math::tf32;
}

}  // namespace

void conv2d_forward(const Gpu& gpu,
                    const Conv2dShape& s,
                    Math math,
                    ConstView x,
                    ConstView w,
                    const Conv2dEpilogue& epilogue,
                    View y,
                    const void*) {
  if (s.algorithm == Conv2dAlgorithm::cudnn) {
    cudnn_forward(gpu, s, math, x, w, y);
    conv2d_epilogue(gpu, std::int64_t(s.N) * s.P() * s.Q(), s.K, epilogue, y);
    return;
  }
  if (x.dtype == DType::bf16 && takes_wgmma(gpu, s, {x.data, w.data, y.data, epilogue.residual.data}))
    return conv2d_forward_wgmma(gpu, s, x, w, epilogue, y);
  if (on_tensor_cores(x.dtype, math)) return conv2d_forward_tensor_core(gpu, s, x, w, epilogue, y);
  const auto product = forward_product<float>(s, x, w, epilogue, y);
  const std::int64_t M = product.M(), N = product.N();
  with_tile(fills_gpu(M, N), [&](auto t) {
    constexpr int kTile = 16 * t;
    launch(forward_kernel<t>, dim3(count_tiles(M, N, kTile, kTile)), kTileThreads, 0, gpu, product,
           static_cast<int>(ceil_div(N, kTile)));
  });
}

int conv2d_moment_parts(const Gpu& gpu, const Conv2dShape& s, ConstView x, ConstView w, ConstView y) {
  const bool wgmma = s.algorithm != Conv2dAlgorithm::cudnn && x.dtype == DType::bf16 &&
                     takes_wgmma(gpu, s, {x.data, w.data, y.data});
  return wgmma ? conv2d_moment_parts_wgmma(gpu, s) : 0;
}

// The kernels read filters as they are.
std::size_t conv2d_prepared_bytes(const Gpu&, const Conv2dShape&, DType) {
  return 0;
}
void conv2d_prepare(const Gpu&, const Conv2dShape&, ConstView, void*) {}

void conv2d_epilogue(const Gpu& gpu, std::int64_t pixels, int K, const Conv2dEpilogue& epilogue, View y) {
  if (epilogue.bias == nullptr && !epilogue.residual && !epilogue.relu) return;
  const std::int64_t n = pixels * K;
  with_float_type(y.dtype, [&](auto element) {
    using T = decltype(element);
    launch(epilogue_kernel<T>, dim3(ceil_div(n, kEpilogueThreads)), kEpilogueThreads, 0, gpu, n, K,
           epilogue.bias, epilogue.residual.as<T>(), epilogue.relu, y.as<T>());
  });
}

void conv2d_backward_data(
    const Gpu& gpu, const Conv2dShape& s, Math math, ConstView dy, ConstView w, View dx, ConstView others) {
  if (s.algorithm == Conv2dAlgorithm::cudnn) {
    cudnn_backward_data(gpu, s, math, dy, w, dx);
    conv2d_epilogue(gpu, std::int64_t(s.N) * s.H * s.W, s.C, {.bias = nullptr, .residual = others}, dx);
    return;
  }
  if (dy.dtype == DType::bf16 && takes_wgmma(gpu, s, {dy.data, w.data, dx.data, others.data}))
    return conv2d_backward_data_wgmma(gpu, s, dy, w, dx, others);
  if (on_tensor_cores(dy.dtype, math)) return conv2d_backward_data_tensor_core(gpu, s, dy, w, dx, others);
  for_each_phases<float>(s, dy, w, dx, others, [&](const Phases<float>& phases) {
    const std::int64_t M = phases.M, N = s.C;
    with_tile(fills_gpu(M * phases.count, N), [&](auto t) {
      constexpr int kTile = 16 * t;
      launch(backward_data_kernel<t>, dim3(count_tiles(M, N, kTile, kTile), 1, phases.count), kTileThreads, 0,
             gpu, phases, static_cast<int>(ceil_div(N, kTile)));
    });
  });
}

void conv2d_backward_weight(
    const Gpu& gpu, const Conv2dShape& s, Math math, ConstView x, ConstView dy, float* dw) {
  if (s.algorithm == Conv2dAlgorithm::cudnn) return cudnn_backward_weight(gpu, s, math, x, dy, dw);
  if (x.dtype == DType::bf16 && takes_wgmma(gpu, s, {x.data, dy.data}))
    return conv2d_backward_weight_wgmma(gpu, s, x, dy, dw);
  if (on_tensor_cores(x.dtype, math)) return conv2d_backward_weight_tensor_core(gpu, s, x, dy, dw);
  auto product = weight_product<float>(s, x, dy);
  const std::int64_t M = product.M(), N = product.N();
  with_tile(M > 64 && N > 64, [&](auto t) {  // the runs bring as many blocks as a GPU wants
    constexpr int kTile = 16 * t;
    const std::int64_t tiles = count_tiles(M, N, kTile, kTile);
    const int runs = product.cut(tiles, kTileK);
    product.partials = runs == 1 ? dw : static_cast<float*>(gpu.workspace(runs * M * N * sizeof(float)));
    launch(backward_weight_kernel<t>, dim3(tiles, 1, runs), kTileThreads, 0, gpu, product,
           static_cast<int>(ceil_div(N, kTile)));
    if (runs > 1) sum_runs(gpu, product.partials, M * N, runs, dw);
  });
}

}  // namespace clx::kernels
