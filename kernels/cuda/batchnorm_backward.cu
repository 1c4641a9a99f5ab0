// What: the gradients of batch normalisation with residual and ReLU, from x, dy (M,C) and the forward's mask.
// Who: as in batchnorm.cu. Three launches: sums over a block's rows, sums over blocks, dx. In the last a
// thread
//   holds dx's three coefficients per channel in registers.
// Where: 16 KiB of shared memory for the tree; partial sums in the workspace, ≤ 1024 rows of C.
// Limit: memory. Bytes per element of size s: 2s + 1/8 for the sums; 3s + 1/8 for dx (4s + 1/8 with
// dresidual).
#include <cstddef>
#include <cstdint>

#include "kernels/batchnorm.h"
#include "kernels/cuda/batchnorm.cuh"
#include "kernels/cuda/channels.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"

namespace clx::kernels {
namespace {

/// Σ g and Σ g·(x − mean).
struct GradientSums {
  float g, gx;
  __device__ GradientSums& operator+=(const GradientSums& other) {
    g += other.g;
    gx += other.gx;
    return *this;
  }
};

/// g = dy, with zeros where ReLU did not pass; `saved` is null without ReLU.
template <class T, int V>
__device__ __forceinline__ void load_gradient(const BatchNormShape& shape,
                                              const T* dy,
                                              const std::uint8_t* saved,
                                              std::int64_t m,
                                              int c,
                                              float (&g)[V]) {
  load<V>(dy + m * shape.C + c, g);
  if (saved == nullptr) return;
  const unsigned passed = load_mask<V>(saved + m * mask_row_bytes(shape.C), c);
#pragma unroll
  for (int v = 0; v < V; ++v)
    g[v] = passed >> v & 1u ? g[v] : 0;
}

// Four blocks in a multiprocessor: for five, which ptxas would choose, the sums spill.
template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads, 4)
    gradient_sums_kernel(BatchNormShape shape,
                         const T* __restrict__ x,
                         const T* __restrict__ dy,
                         const float* __restrict__ mean,
                         const std::uint8_t* __restrict__ saved,
                         GradientSums* __restrict__ partial) {
  const int c = first_channel<V>();
  GradientSums sums[V];
#pragma unroll
  for (int v = 0; v < V; ++v)
    sums[v] = {0, 0};
  if (c < shape.C) {
    float mu[V];
#pragma unroll
    for (int v = 0; v < V; ++v)
      mu[v] = mean[c + v];
#pragma unroll 2
    for (std::int64_t m = first_row(); m < shape.M; m += row_stride()) {
      float value[V], g[V];
      load<V>(x + m * shape.C + c, value);
      load_gradient<T, V>(shape, dy, saved, m, c, g);
#pragma unroll
      for (int v = 0; v < V; ++v)
        sums[v] += GradientSums{g[v], g[v] * (value[v] - mu[v])};
    }
  }
  fold_rows(sums);
  if (threadIdx.y == 0 && c < shape.C) {
#pragma unroll
    for (int v = 0; v < V; ++v)
      partial[std::size_t(blockIdx.y) * shape.C + c + v] = sums[v];
  }
}

__global__ void __launch_bounds__(kChannelThreads) finish_gradient_sums_kernel(
    int blocks, int C, const GradientSums* partial, const float* inv_std, float* dgamma, float* dbeta) {
  const int c = first_channel<1>();
  const GradientSums total = fold_blocks(blocks, C, partial, c);
  if (threadIdx.y != 0 || c >= C) return;
  dgamma[c] = total.gx * inv_std[c];
  dbeta[c] = total.g;
}

struct GradientCoefficients {
  const float *gamma, *mean, *inv_std, *dgamma, *dbeta;
};

// dx = a·g + b + k·(x − mean), a = gamma·inv_std, b = −a·dbeta/M, k = −a·inv_std·dgamma/M with M = positions;
// b = k = 0 where the statistics are constants.
template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads) dx_kernel(BatchNormShape shape,
                                                             std::int64_t positions,
                                                             const T* __restrict__ x,
                                                             const T* __restrict__ dy,
                                                             GradientCoefficients coefficients,
                                                             bool training,
                                                             const std::uint8_t* __restrict__ saved,
                                                             T* __restrict__ dx,
                                                             T* __restrict__ dresidual) {
  const int c = first_channel<V>();
  if (c >= shape.C) return;
  const float inv_M = 1 / static_cast<float>(positions);
  float mean[V], a[V], b[V] = {}, k[V] = {};
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const float inv_std = coefficients.inv_std[c + v];
    mean[v] = coefficients.mean[c + v];
    a[v] = coefficients.gamma[c + v] * inv_std;
    if (training) {
      b[v] = -a[v] * coefficients.dbeta[c + v] * inv_M;
      k[v] = -a[v] * inv_std * coefficients.dgamma[c + v] * inv_M;
    }
  }
#pragma unroll 2
  for (std::int64_t m = first_row(); m < shape.M; m += row_stride()) {
    const std::int64_t i = m * shape.C + c;
    float g[V], out[V];
    load_gradient<T, V>(shape, dy, saved, m, c, g);
    if (dresidual != nullptr) store<V>(dresidual + i, g);
    if (training) {
      float value[V];
      load<V>(x + i, value);
#pragma unroll
      for (int v = 0; v < V; ++v)
        out[v] = a[v] * g[v] + (b[v] + k[v] * (value[v] - mean[v]));
    } else {
#pragma unroll
      for (int v = 0; v < V; ++v)
        out[v] = a[v] * g[v];
    }
    store<V>(dx + i, out);
  }
}

}  // namespace

void batchnorm_gradient_sums(const Gpu& b,
                             BatchNormShape shape,
                             ConstView x,
                             ConstView dy,
                             const float* mean,
                             const float* inv_std,
                             bool relu,
                             const void* saved,
                             float* dgamma,
                             float* dbeta) {
  const auto* mask = relu ? static_cast<const std::uint8_t*>(saved) : nullptr;
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack(shape.C % kPack == 0 && aligned(x.data, dy.data), [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(shape.M, shape.C, V, kBatchNormDepth);
      const int blocks = static_cast<int>(tiles.grid.y);
      auto* partial = static_cast<GradientSums*>(b.workspace(sizeof(GradientSums) * blocks * shape.C));
      launch(gradient_sums_kernel<T, V>, tiles.grid, tiles.block, 0, b, shape, x.as<T>(), dy.as<T>(), mean,
             mask, partial);
      const ChannelGrid finish = finish_grid(shape.C);
      launch(finish_gradient_sums_kernel, finish.grid, finish.block, 0, b, blocks, shape.C, partial, inv_std,
             dgamma, dbeta);
    });
  });
}

void batchnorm_dx(const Gpu& b,
                  BatchNormShape shape,
                  std::int64_t positions,
                  ConstView x,
                  ConstView dy,
                  const float* gamma,
                  const float* mean,
                  const float* inv_std,
                  const float* dgamma,
                  const float* dbeta,
                  bool training,
                  bool relu,
                  const void* saved,
                  View dx,
                  View dresidual) {
  const auto* mask = relu ? static_cast<const std::uint8_t*>(saved) : nullptr;
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool wide = shape.C % kPack == 0 && aligned(x.data, dy.data, dx.data, dresidual.data);
    with_pack(wide, [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(shape.M, shape.C, V, kBatchNormDepth);
      launch(dx_kernel<T, V>, tiles.grid, tiles.block, 0, b, shape, positions, x.as<T>(), dy.as<T>(),
             GradientCoefficients{gamma, mean, inv_std, dgamma, dbeta}, training, mask, dx.as<T>(),
             dresidual.as<T>());
    });
  });
}

void batchnorm_backward(const Gpu& b,
                        BatchNormShape shape,
                        ConstView x,
                        ConstView dy,
                        const float* gamma,
                        const float* mean,
                        const float* inv_std,
                        bool training,
                        bool relu,
                        const void* saved,
                        View dx,
                        View dresidual,
                        float* dgamma,
                        float* dbeta) {
  batchnorm_gradient_sums(b, shape, x, dy, mean, inv_std, relu, saved, dgamma, dbeta);
  batchnorm_dx(b, shape, shape.M, x, dy, gamma, mean, inv_std, dgamma, dbeta, training, relu, saved, dx,
               dresidual);
}

}  // namespace clx::kernels
