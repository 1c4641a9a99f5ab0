// What: max pooling, global average pooling and the strided channel-padded shortcut, NHWC.
// Who: output positions are the rows of a rows × C matrix; blocks of 256 threads as (channels, rows), 8
//   channels per thread (1 if C is no multiple of 8 or memory is unaligned). Every gradient is a gather, so
//   the order of its sums is fixed and nothing is atomic.
// Where: registers; average pooling folds its rows in 8 KiB of shared memory.
// Limit: memory; windows that overlap are read again from the L1 and L2 caches.
#include "kernels/pool.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/channels.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"

namespace clx::kernels {
namespace {

constexpr int kDepth = 2;          // rows per thread below which another block does not pay
constexpr int kMostImages = 4096;  // in one grid

/// Position (n,h,w) of row n·H·W + h·W + w.
struct Position {
  int n, h, w;
};
__device__ __forceinline__ Position position(std::int64_t row, int H, int W) {
  const unsigned r = static_cast<unsigned>(row), line = r / W;
  return {static_cast<int>(line / H), static_cast<int>(line % H), static_cast<int>(r % W)};
}

template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads)
    max_pool_forward_kernel(PoolShape s, const T* __restrict__ x, T* __restrict__ y, std::uint8_t* argmax) {
  const int c = first_channel<V>(), P = s.P(), Q = s.Q();
  if (c >= s.C) return;
  const std::int64_t rows = std::int64_t(s.N) * P * Q;
  for (std::int64_t row = first_row(); row < rows; row += row_stride()) {
    const Position at = position(row, P, Q);
    const int h0 = at.h * s.stride - s.padding, w0 = at.w * s.stride - s.padding;
    const int r0 = max(0, -h0), r1 = min(s.R, s.H - h0), q0 = max(0, -w0), q1 = min(s.R, s.W - w0);
    float best[V];
    int choice[V];  // a pixel of the image even if all are −∞
#pragma unroll
    for (int v = 0; v < V; ++v) {
      best[v] = -INFINITY;
      choice[v] = r0 * s.R + q0;
    }
    for (int r = r0; r < r1; ++r) {
      for (int q = q0; q < q1; ++q) {
        float value[V];
        load<V>(x + ((std::int64_t(at.n) * s.H + h0 + r) * s.W + w0 + q) * s.C + c, value);
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const bool first_nan = value[v] != value[v] && best[v] == best[v];
          if (value[v] > best[v] || first_nan) {
            best[v] = value[v];
            choice[v] = r * s.R + q;
          }
        }
      }
    }
    store<V>(y + row * s.C + c, best);
    Pack<std::uint8_t, V> bytes;
#pragma unroll
    for (int v = 0; v < V; ++v)
      bytes.v[v] = static_cast<std::uint8_t>(choice[v]);
    *reinterpret_cast<Pack<std::uint8_t, V>*>(argmax + row * s.C + c) = bytes;
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads, 3) max_pool_backward_kernel(
    PoolShape s, const T* __restrict__ dy, const std::uint8_t* __restrict__ argmax, T* __restrict__ dx) {
  const int c = first_channel<V>(), P = s.P(), Q = s.Q();
  if (c >= s.C) return;
  const std::int64_t rows = std::int64_t(s.N) * s.H * s.W;
  for (std::int64_t row = first_row(); row < rows; row += row_stride()) {
    const Position at = position(row, s.H, s.W);
    const int h = at.h + s.padding, w = at.w + s.padding;  // in the padded image
    const int p0 = h < s.R ? 0 : (h - s.R) / s.stride + 1, p1 = min(P - 1, h / s.stride);
    const int q0 = w < s.R ? 0 : (w - s.R) / s.stride + 1, q1 = min(Q - 1, w / s.stride);
    float sum[V] = {};
    for (int p = p0; p <= p1; ++p) {
      for (int q = q0; q <= q1; ++q) {
        const int here = (h - p * s.stride) * s.R + (w - q * s.stride);
        const std::int64_t i = ((std::int64_t(at.n) * P + p) * Q + q) * s.C + c;
        const auto choice = *reinterpret_cast<const Pack<std::uint8_t, V>*>(argmax + i);
        float g[V];
        load<V>(dy + i, g);
#pragma unroll
        for (int v = 0; v < V; ++v)
          sum[v] += choice.v[v] == here ? g[v] : 0;
      }
    }
    store<V>(dx + row * s.C + c, sum);
  }
}

struct Sum {
  float value;
  __device__ Sum& operator+=(const Sum& other) {
    value += other.value;
    return *this;
  }
};

/// blockIdx.y strides over the images.
template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads)
    average_pool_forward_kernel(int N, int HW, int C, const T* __restrict__ x, float* __restrict__ y) {
  const int c = first_channel<V>();
  for (int n = blockIdx.y; n < N; n += gridDim.y) {
    Sum sum[V];
#pragma unroll
    for (int v = 0; v < V; ++v)
      sum[v] = {0};
    if (c < C) {
#pragma unroll 4
      for (int i = threadIdx.y; i < HW; i += blockDim.y) {
        float value[V];
        load<V>(x + (std::int64_t(n) * HW + i) * C + c, value);
#pragma unroll
        for (int v = 0; v < V; ++v)
          sum[v] += Sum{value[v]};
      }
    }
    fold_rows(sum);
    if (threadIdx.y == 0 && c < C) {
#pragma unroll
      for (int v = 0; v < V; ++v)
        y[std::int64_t(n) * C + c + v] = sum[v].value / static_cast<float>(HW);
    }
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kChannelThreads)
    average_pool_backward_kernel(int N, int HW, int C, const float* __restrict__ dy, T* __restrict__ dx) {
  const int c = first_channel<V>();
  if (c >= C) return;
  const std::int64_t rows = std::int64_t(N) * HW;
  for (std::int64_t row = first_row(); row < rows; row += row_stride()) {
    const std::int64_t n = static_cast<unsigned>(row) / static_cast<unsigned>(HW);
    float g[V];
#pragma unroll
    for (int v = 0; v < V; ++v)
      g[v] = dy[n * C + c + v] / static_cast<float>(HW);
    store<V>(dx + row * C + c, g);
  }
}

template <class T>
__global__ void __launch_bounds__(kChannelThreads)
    subsample_forward_kernel(SubsampleShape s, const T* __restrict__ x, T* __restrict__ y) {
  const int k = first_channel<1>(), c = k - (s.K - s.C) / 2, P = s.P(), Q = s.Q();
  if (k >= s.K) return;
  const std::int64_t rows = std::int64_t(s.N) * P * Q;
  for (std::int64_t row = first_row(); row < rows; row += row_stride()) {
    const Position at = position(row, P, Q);
    const std::int64_t from = (std::int64_t(at.n) * s.H + at.h * s.stride) * s.W + at.w * s.stride;
    y[row * s.K + k] = c >= 0 && c < s.C ? x[from * s.C + c] : T(0.0f);
  }
}

template <class T>
__global__ void __launch_bounds__(kChannelThreads)
    subsample_backward_kernel(SubsampleShape s, const T* __restrict__ dy, T* __restrict__ dx) {
  const int c = first_channel<1>(), k = c + (s.K - s.C) / 2;
  if (c >= s.C) return;
  const std::int64_t rows = std::int64_t(s.N) * s.H * s.W;
  for (std::int64_t row = first_row(); row < rows; row += row_stride()) {
    const Position at = position(row, s.H, s.W);
    const bool kept = at.h % s.stride == 0 && at.w % s.stride == 0 && k >= 0 && k < s.K;
    const std::int64_t to = (std::int64_t(at.n) * s.P() + at.h / s.stride) * s.Q() + at.w / s.stride;
    dx[row * s.C + c] = kept ? dy[to * s.K + k] : T(0.0f);
  }
}

}  // namespace

void max_pool_forward(const Gpu& b, const PoolShape& s, ConstView x, View y, std::uint8_t* argmax) {
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack(s.C % kPack == 0 && aligned(x.data, y.data, argmax), [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(std::int64_t(s.N) * s.P() * s.Q(), s.C, V, kDepth);
      launch(max_pool_forward_kernel<T, V>, tiles.grid, tiles.block, 0, b, s, x.as<T>(), y.as<T>(), argmax);
    });
  });
}

void max_pool_backward(const Gpu& b, const PoolShape& s, ConstView dy, const std::uint8_t* argmax, View dx) {
  with_float_type(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack(s.C % kPack == 0 && aligned(dy.data, dx.data, argmax), [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(std::int64_t(s.N) * s.H * s.W, s.C, V, kDepth);
      launch(max_pool_backward_kernel<T, V>, tiles.grid, tiles.block, 0, b, s, dy.as<T>(), argmax,
             dx.as<T>());
    });
  });
}

void average_pool_forward(const Gpu& b, int N, int HW, int C, ConstView x, float* y) {
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack(C % kPack == 0 && aligned(x.data), [&](auto width) {
      constexpr int V = width;
      ChannelGrid tiles = channel_grid(HW, C, V, 1);
      tiles.grid.y = std::min(N, kMostImages);
      launch(average_pool_forward_kernel<T, V>, tiles.grid, tiles.block, 0, b, N, HW, C, x.as<T>(), y);
    });
  });
}

void average_pool_backward(const Gpu& b, int N, int HW, int C, const float* dy, View dx) {
  with_float_type(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack(C % kPack == 0 && aligned(dx.data), [&](auto width) {
      constexpr int V = width;
      const ChannelGrid tiles = channel_grid(std::int64_t(N) * HW, C, V, kDepth);
      launch(average_pool_backward_kernel<T, V>, tiles.grid, tiles.block, 0, b, N, HW, C, dy, dx.as<T>());
    });
  });
}

void subsample_forward(const Gpu& b, const SubsampleShape& s, ConstView x, View y) {
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const ChannelGrid tiles = channel_grid(std::int64_t(s.N) * s.P() * s.Q(), s.K, 1, kDepth);
    launch(subsample_forward_kernel<T>, tiles.grid, tiles.block, 0, b, s, x.as<T>(), y.as<T>());
  });
}

void subsample_backward(const Gpu& b, const SubsampleShape& s, ConstView dy, View dx) {
  with_float_type(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    const ChannelGrid tiles = channel_grid(std::int64_t(s.N) * s.H * s.W, s.C, 1, kDepth);
    launch(subsample_backward_kernel<T>, tiles.grid, tiles.block, 0, b, s, dy.as<T>(), dx.as<T>());
  });
}

}  // namespace clx::kernels
