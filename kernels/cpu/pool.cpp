#include "kernels/pool.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

constexpr int kBlock = 64;  // channels whose running values stay in registers or L1

// f(c, width) for the channels in blocks.
template <class F>
void for_blocks(int C, F&& f) {
  for (int c = 0; c < C; c += kBlock)
    f(c, std::min(kBlock, C - c));
}

template <class T>
void max_pool_row(const PoolShape& s, std::int64_t n, int p, const T* x, T* y, std::uint8_t* argmax) {
  const int h0 = p * s.stride - s.padding;
  for (int q = 0; q < s.Q(); ++q, y += s.C, argmax += s.C) {
    const int w0 = q * s.stride - s.padding;
    for_blocks(s.C, [&](int c0, int width) {
      float best[kBlock];
      int place[kBlock] = {};
      std::fill_n(best, kBlock, -std::numeric_limits<float>::infinity());
      bool first = true;
      for (int r = std::max(0, -h0); r < s.R && h0 + r < s.H; ++r)
        for (int t = std::max(0, -w0); t < s.R && w0 + t < s.W; ++t) {
          const T* from = x + ((n * s.H + h0 + r) * s.W + w0 + t) * s.C + c0;
          for (int c = 0; c < width; ++c) {
            const auto value = static_cast<float>(from[c]);
            const bool first_nan = (value != value) & (best[c] == best[c]);  // a NaN wins and stays
            const bool better = first | (value > best[c]) | first_nan;
            best[c] = better ? value : best[c];
            place[c] = better ? r * s.R + t : place[c];
          }
          first = false;
        }
      for (int c = 0; c < width; ++c) {
        y[c0 + c] = T(best[c]);
        argmax[c0 + c] = static_cast<std::uint8_t>(place[c]);
      }
    });
  }
}

template <class T>
void max_pool_backward_row(
    const PoolShape& s, std::int64_t n, int h, const T* dy, const std::uint8_t* argmax, T* dx) {
  // Windows over h: p·stride − padding ≤ h < p·stride − padding + R, and so for w.
  const auto first = [&](int i) { return i + s.padding < s.R ? 0 : (i + s.padding - s.R) / s.stride + 1; };
  const auto last = [&](int i, int count) { return std::min(count - 1, (i + s.padding) / s.stride); };
  const int P = s.P(), Q = s.Q();
  for (int w = 0; w < s.W; ++w, dx += s.C)
    for_blocks(s.C, [&](int c0, int width) {
      float sum[kBlock] = {};
      for (int p = first(h); p <= last(h, P); ++p)
        for (int q = first(w); q <= last(w, Q); ++q) {
          const int place = (h - p * s.stride + s.padding) * s.R + w - q * s.stride + s.padding;
          const std::int64_t at = ((n * P + p) * Q + q) * s.C + c0;
          for (int c = 0; c < width; ++c)
            sum[c] += argmax[at + c] == place ? static_cast<float>(dy[at + c]) : 0.0f;
        }
      for (int c = 0; c < width; ++c)
        dx[c0 + c] = T(sum[c]);
    });
}

}  // namespace

void max_pool_forward(const Cpu&, const PoolShape& s, ConstView x, View y, std::uint8_t* argmax) {
  const std::int64_t P = s.P(), row = std::int64_t(s.Q()) * s.C;
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(s.N * P, [&](std::int64_t i) {
      max_pool_row(s, i / P, static_cast<int>(i % P), x.as<T>(), y.as<T>() + i * row, argmax + i * row);
    });
  });
}

void max_pool_backward(const Cpu&, const PoolShape& s, ConstView dy, const std::uint8_t* argmax, View dx) {
  const std::int64_t H = s.H, row = std::int64_t(s.W) * s.C;
  with_float_type(dx.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(s.N * H, [&](std::int64_t i) {
      max_pool_backward_row(s, i / H, static_cast<int>(i % H), dy.as<T>(), argmax, dx.as<T>() + i * row);
    });
  });
}

void average_pool_forward(const Cpu&, int N, int HW, int C, ConstView x, float* y) {
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(N, [&](std::int64_t n) {
      for_blocks(C, [&](int c0, int width) {
        float sum[kBlock] = {};
        for (int i = 0; i < HW; ++i) {
          const T* from = x.as<T>() + (n * HW + i) * C + c0;
          for (int c = 0; c < width; ++c)
            sum[c] += static_cast<float>(from[c]);
        }
        for (int c = 0; c < width; ++c)
          y[n * C + c0 + c] = sum[c] / static_cast<float>(HW);
      });
    });
  });
}

void average_pool_backward(const Cpu&, int N, int HW, int C, const float* dy, View dx) {
  with_float_type(dx.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(N, [&](std::int64_t n) {
      T* to = dx.as<T>() + n * HW * C;
      for (int c = 0; c < C; ++c)
        to[c] = T(dy[n * C + c] / static_cast<float>(HW));
      for (int i = 1; i < HW; ++i)
        std::copy_n(to, C, to + std::int64_t(i) * C);
    });
  });
}

void subsample_forward(const Cpu&, const SubsampleShape& s, ConstView x, View y) {
  const std::int64_t P = s.P(), Q = s.Q();
  const int shift = (s.K - s.C) / 2;
  const int begin = std::max(0, shift), end = std::min(s.K, shift + s.C);  // channels of y that exist in x
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(s.N * P, [&](std::int64_t i) {
      const T* from = x.as<T>() + ((i / P) * s.H + (i % P) * s.stride) * s.W * s.C;
      T* to = y.as<T>() + i * Q * s.K;
      for (std::int64_t q = 0; q < Q; ++q, to += s.K, from += std::int64_t(s.stride) * s.C) {
        std::fill(to, to + begin, T{});
        std::copy(from + begin - shift, from + end - shift, to + begin);
        std::fill(to + end, to + s.K, T{});
      }
    });
  });
}

void subsample_backward(const Cpu&, const SubsampleShape& s, ConstView dy, View dx) {
  const std::int64_t P = s.P(), Q = s.Q(), H = s.H;
  const int shift = (s.K - s.C) / 2;
  const int begin = std::max(0, shift), end = std::min(s.K, shift + s.C);
  with_float_type(dx.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(s.N * H, [&](std::int64_t i) {
      const std::int64_t n = i / H, h = i % H;
      T* to = dx.as<T>() + i * s.W * s.C;
      std::fill_n(to, std::int64_t(s.W) * s.C, T{});
      if (h % s.stride != 0) return;
      const T* from = dy.as<T>() + (n * P + h / s.stride) * Q * s.K;
      for (std::int64_t q = 0; q < Q; ++q)
        std::copy(from + q * s.K + begin, from + q * s.K + end, to + q * s.stride * s.C + begin - shift);
    });
  });
}

}  // namespace clx::kernels
