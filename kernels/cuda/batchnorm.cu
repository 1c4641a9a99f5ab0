// What: statistics of x (M,C) over its rows, and normalisation with residual and ReLU in one pass.
// Who: blocks of 256 threads as (channels, rows); a thread keeps 8 channels (1 if C is no multiple of 8 or
// memory
//   is unaligned), holds their coefficients in registers and strides over the rows. Sums over rows have two
//   stages: a tree within the block, then one block per 32 channels over the blocks' results. No atomics.
// Where: 24 KiB of shared memory for the tree; partial results in the workspace, ≤ 1024 rows of C.
// Limit: memory. Bytes per element of size s: statistics s; apply 2s (3s with residual), + 1/8 for ReLU's
// mask.
#include "kernels/batchnorm.h"

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/batchnorm.cuh"
#include "kernels/cuda/channels.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/moments.cuh"
#include "kernels/cuda/pack.cuh"

namespace clx::kernels {
namespace {

// A thread sums differences from its own first value.
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
    for (int v = 0; v < V; ++v)
      moments[v] = moments_of(n, shift[v], s[v], q[v]);
  }
  fold_rows(moments);
  if (threadIdx.y == 0 && c < shape.C) {
#pragma unroll
    for (int v = 0; v < V; ++v)
      partial[std::size_t(blockIdx.y) * shape.C + c + v] = moments[v];
  }
}

// Blocks of rows of parts, where there are more than the last stage should read.
__global__ void __launch_bounds__(kChannelThreads)
    fold_parts_kernel(int parts, int C, const Moments* __restrict__ part, Moments* __restrict__ partial) {
  const int c = first_channel<1>();
  Moments total[1] = {};
  if (c < C)
    for (std::int64_t i = first_row(); i < parts; i += row_stride())
      total[0] += part[std::size_t(i) * C + c];
  fold_rows(total);
  if (threadIdx.y == 0 && c < C) partial[std::size_t(blockIdx.y) * C + c] = total[0];
}

/// M: the number of positions that `total` is of.
__device__ void put_statistics(int c,
                               const Moments& total,
                               float M,
                               float eps,
                               float momentum,
                               float* mean,
                               float* inv_std,
                               float* running_mean,
                               float* running_var) {
  mean[c] = total.mean;
  inv_std[c] = 1 / sqrtf(total.m2 / M + eps);
  if (running_mean == nullptr) return;
  const float unbiased = total.m2 / (M > 1 ? M - 1 : 1.0f);
  running_mean[c] = (1 - momentum) * running_mean[c] + momentum * total.mean;
  running_var[c] = (1 - momentum) * running_var[c] + momentum * unbiased;
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
  if (threadIdx.y == 0 && c < shape.C)
    put_statistics(c, total, static_cast<float>(shape.M), eps, momentum, mean, inv_std, running_mean,
                   running_var);
}

__global__ void __launch_bounds__(kChannelThreads)
    finish_moments_kernel(int C, int blocks, const Moments* partial, float* moments) {
  const int c = first_channel<1>();
  const Moments total = fold_blocks(blocks, C, partial, c);
  if (threadIdx.y != 0 || c >= C) return;
  moments[c] = total.mean;
  moments[C + c] = total.m2;
}

// A thread merges the parts of one channel.
__global__ void __launch_bounds__(kChannelThreads) merge_kernel(BatchNormShape shape,
                                                                int parts,
                                                                const float* moments,
                                                                float eps,
                                                                float momentum,
                                                                float* mean,
                                                                float* inv_std,
                                                                float* running_mean,
                                                                float* running_var) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= shape.C) return;
  const float M = static_cast<float>(shape.M);
  Moments total = {0, 0, 0};
  for (int part = 0; part < parts; ++part) {
    const float* of_part = moments + 2 * std::size_t(part) * shape.C + c;
    total += Moments{M, of_part[0], of_part[shape.C]};
  }
  put_statistics(c, total, M * parts, eps, momentum, mean, inv_std, running_mean, running_var);
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

// One block per filter.
__global__ void __launch_bounds__(kChannelThreads) fold_kernel(std::int64_t columns,
                                                               const float* __restrict__ w,
                                                               Coefficients coefficients,
                                                               float* __restrict__ folded,
                                                               float* __restrict__ bias) {
  const unsigned k = blockIdx.x;
  const float scale = coefficients.gamma[k] * coefficients.inv_std[k];
  if (threadIdx.x == 0) bias[k] = coefficients.beta[k] - coefficients.mean[k] * scale;
  for (std::int64_t i = threadIdx.x; i < columns; i += blockDim.x)
    folded[k * columns + i] = w[k * columns + i] * scale;
}

/// (blocks,C), in the workspace.
struct PartialMoments {
  int blocks;
  const Moments* data;
};

PartialMoments partial_moments(const Gpu& b, BatchNormShape shape, const BatchNormParts& parts) {
  const auto* given = reinterpret_cast<const Moments*>(parts.moments);
  constexpr int kDepth = 32;
  const ChannelGrid tiles = channel_grid(parts.count, shape.C, 1, kDepth);
  const int blocks = static_cast<int>(tiles.grid.y);
  if (blocks == 1) return {parts.count, given};
  auto* partial = static_cast<Moments*>(b.workspace(sizeof(Moments) * blocks * shape.C));
  launch(fold_parts_kernel, tiles.grid, tiles.block, 0, b, parts.count, shape.C, given, partial);
  return {blocks, partial};
}

PartialMoments partial_moments(const Gpu& b, BatchNormShape shape, ConstView x, const BatchNormParts& parts) {
  if (parts.count > 0) return partial_moments(b, shape, parts);
  PartialMoments result{};
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack(shape.C % kPack == 0 && aligned(x.data), [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(shape.M, shape.C, V, kBatchNormDepth);
      const int blocks = static_cast<int>(tiles.grid.y);
      auto* partial = static_cast<Moments*>(b.workspace(sizeof(Moments) * blocks * shape.C));
      launch(statistics_kernel<T, V>, tiles.grid, tiles.block, 0, b, shape, x.as<T>(), partial);
      result = {blocks, partial};
    });
  });
  return result;
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
                          float* running_var,
                          BatchNormParts parts) {
  const PartialMoments partial = partial_moments(b, shape, x, parts);
  const ChannelGrid finish = finish_grid(shape.C);
  launch(finish_statistics_kernel, finish.grid, finish.block, 0, b, shape, partial.blocks, partial.data, eps,
         momentum, mean, inv_std, running_mean, running_var);
}

void batchnorm_moments(
    const Gpu& b, BatchNormShape shape, ConstView x, float* moments, BatchNormParts parts) {
  const PartialMoments partial = partial_moments(b, shape, x, parts);
  const ChannelGrid finish = finish_grid(shape.C);
  launch(finish_moments_kernel, finish.grid, finish.block, 0, b, shape.C, partial.blocks, partial.data,
         moments);
}

void batchnorm_merge(const Gpu& b,
                     BatchNormShape shape,
                     int parts,
                     const float* moments,
                     float eps,
                     float momentum,
                     float* mean,
                     float* inv_std,
                     float* running_mean,
                     float* running_var) {
  const int blocks = (shape.C + kChannelThreads - 1) / kChannelThreads;
  launch(merge_kernel, dim3(blocks), dim3(kChannelThreads), 0, b, shape, parts, moments, eps, momentum, mean,
         inv_std, running_mean, running_var);
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
      const ChannelGrid tiles = channel_grid(shape.M, shape.C, V, kBatchNormDepth);
      launch(apply_kernel<T, V>, tiles.grid, tiles.block, 0, b, shape, x.as<T>(), residual.as<T>(),
             Coefficients{gamma, beta, mean, inv_std}, relu, y.as<T>(), static_cast<std::uint8_t*>(saved));
    });
  });
}

void batchnorm_inv_std(const Gpu& b, int C, const float* running_var, float eps, float* inv_std) {
  const int blocks = (C + kChannelThreads - 1) / kChannelThreads;
  launch(inv_std_kernel, dim3(blocks), dim3(kChannelThreads), 0, b, C, running_var, eps, inv_std);
}

void batchnorm_fold(const Gpu& b,
                    int K,
                    std::int64_t columns,
                    const float* w,
                    const float* gamma,
                    const float* beta,
                    const float* mean,
                    const float* inv_std,
                    float* folded,
                    float* bias) {
  launch(fold_kernel, dim3(static_cast<unsigned>(K)), dim3(kChannelThreads), 0, b, columns, w,
         Coefficients{gamma, beta, mean, inv_std}, folded, bias);
}

}  // namespace clx::kernels
