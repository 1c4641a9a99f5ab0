// What: batch normalisation of x (M,C) over its rows, forward and backward, with residual and ReLU fused in.
// Who: blocks of 256 threads as (channels, rows); a thread keeps 8 channels (1 if C is odd or memory is
//   unaligned), holds their coefficients in registers and strides over the rows. Sums over rows have two
//   stages: a tree within the block, then one block per 32 channels over the blocks' results. No atomics.
// Where: 24 KiB of shared memory for the tree; partial results in the workspace, ≤ 1024 rows of C.
//   `saved` has one bit per element: row m is ⌈C/32⌉ words, bit c % 32 of word c/32 says that ReLU passed.
// Limit: memory. Bytes per element of size s: statistics s, apply 2s (3s with residual) + 1/8, backward
//   2s + 1/8 for the sums and 3s + 1/8 for dx.
#include "kernels/batchnorm.h"

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/channels.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"

namespace clx::kernels {
namespace {

constexpr int kDepth = 8;  // rows per thread below which another block does not pay

/// Count, mean and Σ(x − mean)² of a set; `+=` merges two sets without cancellation.
/// Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
/// 1979, eq. 2.1.
struct Moments {
  float n, mean, m2;
  __device__ Moments& operator+=(const Moments& other) {
    if (other.n == 0) return *this;
    const float total = n + other.n, delta = other.mean - mean, share = other.n / total;
    mean += delta * share;
    m2 += other.m2 + delta * delta * (n * share);
    n = total;
    return *this;
  }
};

/// Σ g and Σ g·(x − mean).
struct GradientSums {
  float g, gx;
  __device__ GradientSums& operator+=(const GradientSums& other) {
    g += other.g;
    gx += other.gx;
    return *this;
  }
};

CLX_HOST_DEVICE inline std::size_t mask_row_bytes(int C) {
  return (static_cast<std::size_t>(C) + 31) / 32 * 4;
}

/// Stores bit v of `bits` for channel c + v. With V = 1 the warp is 32 channels of one row.
template <int V>
__device__ __forceinline__ void store_mask(std::uint8_t* row, int c, unsigned bits) {
  if constexpr (V == kPack) {
    row[c / 8] = static_cast<std::uint8_t>(bits);
  } else {
    const unsigned word = __ballot_sync(0xffffffffu, bits != 0);
    if (threadIdx.x == 0) reinterpret_cast<std::uint32_t*>(row)[c / 32] = word;
  }
}

template <int V>
__device__ __forceinline__ unsigned load_mask(const std::uint8_t* row, int c) {
  return V == kPack ? row[c / 8] : row[c / 8] >> (c % 8) & 1u;
}

// A thread sums differences from its own first value: that value is one of the set, so the cancellation in
// q − s²/n costs at most n roundings of Σ(x − mean)², whatever the mean is.
template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads)
    statistics_kernel(BatchNormShape shape, const T* __restrict__ x, Moments* __restrict__ partial) {
  const int c = first_channel<V>();
  Moments moments[V];
#pragma unroll
  for (int v = 0; v < V; ++v)
    moments[v] = {0, 0, 0};
  std::int64_t m = first_row();
  if (c < shape.C && m < shape.M) {
    float shift[V], s[V] = {}, q[V] = {};
    int n = 0;
    load<V>(x + m * shape.C + c, shift);
#pragma unroll 4
    for (; m < shape.M; m += row_stride(), ++n) {
      float value[V];
      load<V>(x + m * shape.C + c, value);
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const float d = value[v] - shift[v];
        s[v] += d;
        q[v] += d * d;
      }
    }
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const float mean = s[v] / n, m2 = q[v] - s[v] * mean;
      moments[v] = {static_cast<float>(n), shift[v] + mean, m2 < 0 ? 0 : m2};
    }
  }
  fold_rows(moments);
  if (threadIdx.y == 0 && c < shape.C) {
#pragma unroll
    for (int v = 0; v < V; ++v)
      partial[std::size_t(blockIdx.y) * shape.C + c + v] = moments[v];
  }
}

/// Σ over the blocks of partial (blocks,C) for this thread's channel, valid where threadIdx.y = 0.
template <class T>
__device__ T fold_blocks(int blocks, int C, const T* partial, int c) {
  T total[1] = {};
  if (c < C)
    for (int i = threadIdx.y; i < blocks; i += blockDim.y)
      total[0] += partial[std::size_t(i) * C + c];
  fold_rows(total);
  return total[0];
}

__global__ void __launch_bounds__(kChannelThreads) finish_statistics_kernel(BatchNormShape shape,
                                                                            int blocks,
                                                                            const Moments* partial,
                                                                            float eps,
                                                                            float momentum,
                                                                            float* mean,
                                                                            float* inv_std,
                                                                            float* running_mean,
                                                                            float* running_var) {
  const int c = first_channel<1>();
  const Moments total = fold_blocks(blocks, shape.C, partial, c);
  if (threadIdx.y != 0 || c >= shape.C) return;
  const float M = static_cast<float>(shape.M), var = total.m2 / M;
  mean[c] = total.mean;
  inv_std[c] = 1 / sqrtf(var + eps);
  if (running_mean == nullptr) return;
  const float unbiased = total.m2 / (shape.M > 1 ? M - 1 : 1.0f);
  running_mean[c] = (1 - momentum) * running_mean[c] + momentum * total.mean;
  running_var[c] = (1 - momentum) * running_var[c] + momentum * unbiased;
}

struct Coefficients {
  const float *gamma, *beta, *mean, *inv_std;
};

template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads) apply_kernel(BatchNormShape shape,
                                                                const T* __restrict__ x,
                                                                const T* __restrict__ residual,
                                                                Coefficients coefficients,
                                                                bool relu,
                                                                T* __restrict__ y,
                                                                std::uint8_t* __restrict__ saved) {
  const int c = first_channel<V>();
  const bool live = c < shape.C;
  float mean[V] = {}, scale[V] = {}, shift[V] = {};
  if (live) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      mean[v] = coefficients.mean[c + v];
      scale[v] = coefficients.gamma[c + v] * coefficients.inv_std[c + v];
      shift[v] = coefficients.beta[c + v];
    }
  }
#pragma unroll 2
  for (std::int64_t m = first_row(); m < shape.M; m += row_stride()) {
    const std::int64_t i = m * shape.C + c;
    unsigned passed = 0;
    if (live) {
      float value[V];
      load<V>(x + i, value);
#pragma unroll
      for (int v = 0; v < V; ++v)
        value[v] = (value[v] - mean[v]) * scale[v] + shift[v];
      if (residual != nullptr) {
        float r[V];
        load<V>(residual + i, r);
#pragma unroll
        for (int v = 0; v < V; ++v)
          value[v] += r[v];
      }
      if (relu) {
#pragma unroll
        for (int v = 0; v < V; ++v) {
          passed |= (value[v] > 0 ? 1u : 0u) << v;
          value[v] = value[v] <= 0 ? 0 : value[v];  // NaN stays
        }
      }
      store<V>(y + i, value);
    }
    if (relu && (live || V == 1)) store_mask<V>(saved + m * mask_row_bytes(shape.C), c, passed);
  }
}

__global__ void __launch_bounds__(kChannelThreads)
    inv_std_kernel(int C, const float* running_var, float eps, float* inv_std) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c < C) inv_std[c] = 1 / sqrtf(running_var[c] + eps);
}

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

template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads)
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

// dx = a·g + b + k·(x − mean), a = gamma·inv_std, b = −a·dbeta/M, k = −a·inv_std·dgamma/M; b = k = 0 where
// the statistics are constants.
template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads) dx_kernel(BatchNormShape shape,
                                                             const T* __restrict__ x,
                                                             const T* __restrict__ dy,
                                                             GradientCoefficients coefficients,
                                                             bool training,
                                                             const std::uint8_t* __restrict__ saved,
                                                             T* __restrict__ dx,
                                                             T* __restrict__ dresidual) {
  const int c = first_channel<V>();
  if (c >= shape.C) return;
  const float inv_M = 1 / static_cast<float>(shape.M);
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

/// One column of blocks: the second stage of a sum over rows.
ChannelGrid finish_grid(int C) {
  ChannelGrid tiles = channel_grid(1, C, 1, 1);
  tiles.grid.y = 1;
  return tiles;
}

}  // namespace

std::size_t batchnorm_saved_bytes(const Gpu&, BatchNormShape shape, bool relu) {
  return relu ? static_cast<std::size_t>(shape.M) * mask_row_bytes(shape.C) : 0;
}

void batchnorm_statistics(const Gpu& b,
                          BatchNormShape shape,
                          ConstView x,
                          float eps,
                          float momentum,
                          float* mean,
                          float* inv_std,
                          float* running_mean,
                          float* running_var) {
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack(shape.C % kPack == 0 && aligned(x.data), [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(shape.M, shape.C, V, kDepth);
      const int blocks = static_cast<int>(tiles.grid.y);
      auto* partial = static_cast<Moments*>(b.workspace(sizeof(Moments) * blocks * shape.C));
      launch(statistics_kernel<T, V>, tiles.grid, tiles.block, 0, b, shape, x.as<T>(), partial);
      const ChannelGrid finish = finish_grid(shape.C);
      launch(finish_statistics_kernel, finish.grid, finish.block, 0, b, shape, blocks, partial, eps, momentum,
             mean, inv_std, running_mean, running_var);
    });
  });
}

void batchnorm_apply(const Gpu& b,
                     BatchNormShape shape,
                     ConstView x,
                     ConstView residual,
                     const float* gamma,
                     const float* beta,
                     const float* mean,
                     const float* inv_std,
                     bool relu,
                     View y,
                     void* saved) {
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack(shape.C % kPack == 0 && aligned(x.data, residual.data, y.data), [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(shape.M, shape.C, V, kDepth);
      launch(apply_kernel<T, V>, tiles.grid, tiles.block, 0, b, shape, x.as<T>(), residual.as<T>(),
             Coefficients{gamma, beta, mean, inv_std}, relu, y.as<T>(), static_cast<std::uint8_t*>(saved));
    });
  });
}

void batchnorm_inv_std(const Gpu& b, int C, const float* running_var, float eps, float* inv_std) {
  const int blocks = (C + kChannelThreads - 1) / kChannelThreads;
  launch(inv_std_kernel, dim3(blocks), dim3(kChannelThreads), 0, b, C, running_var, eps, inv_std);
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
  const auto* mask = relu ? static_cast<const std::uint8_t*>(saved) : nullptr;
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool wide = shape.C % kPack == 0 && aligned(x.data, dy.data, dx.data, dresidual.data);
    with_pack(wide, [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(shape.M, shape.C, V, kDepth);
      const int blocks = static_cast<int>(tiles.grid.y);
      auto* partial = static_cast<GradientSums*>(b.workspace(sizeof(GradientSums) * blocks * shape.C));
      launch(gradient_sums_kernel<T, V>, tiles.grid, tiles.block, 0, b, shape, x.as<T>(), dy.as<T>(), mean,
             mask, partial);
      const ChannelGrid finish = finish_grid(shape.C);
      launch(finish_gradient_sums_kernel, finish.grid, finish.block, 0, b, blocks, shape.C, partial, inv_std,
             dgamma, dbeta);
      launch(dx_kernel<T, V>, tiles.grid, tiles.block, 0, b, shape, x.as<T>(), dy.as<T>(),
             GradientCoefficients{gamma, mean, inv_std, dgamma, dbeta}, training, mask, dx.as<T>(),
             dresidual.as<T>());
    });
  });
}

}  // namespace clx::kernels
