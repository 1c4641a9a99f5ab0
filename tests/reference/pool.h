// The meaning of max_pool, global_average_pool and subsample.
#pragma once

#include <algorithm>
#include <limits>

#include "tests/reference/array.h"

namespace clx::reference {

/// y[n,p,q,c] = max over r,s of x[n, p·stride + r − padding, q·stride + s − padding, c] inside the image.
inline Array max_pool(const Array& x, int window, int stride, int padding) {
  const std::int64_t N = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const std::int64_t P = (H + 2 * padding - window) / stride + 1, Q = (W + 2 * padding - window) / stride + 1;
  Array y({N, P, Q, C});
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t p = 0; p < P; ++p)
      for (std::int64_t q = 0; q < Q; ++q)
        for (std::int64_t c = 0; c < C; ++c) {
          double largest = -std::numeric_limits<double>::infinity();
          for (int r = 0; r < window; ++r)
            for (int s = 0; s < window; ++s) {
              const std::int64_t h = p * stride + r - padding, w = q * stride + s - padding;
              if (h >= 0 && h < H && w >= 0 && w < W) largest = std::max(largest, x(n, h, w, c));
            }
          y(n, p, q, c) = largest;
        }
  return y;
}

/// y[n,c] = mean over h,w of x[n,h,w,c].
inline Array global_average_pool(const Array& x) {
  const std::int64_t N = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  Array y({N, C});
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t h = 0; h < H; ++h)
      for (std::int64_t w = 0; w < W; ++w)
        for (std::int64_t c = 0; c < C; ++c)
          y(n, c) += x(n, h, w, c) / static_cast<double>(H * W);
  return y;
}

/// y[n,p,q,k] = x[n, p·stride, q·stride, k − (channels − C)/2], 0 where x has no such channel.
inline Array subsample(const Array& x, int channels, int stride) {
  const std::int64_t N = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const std::int64_t P = (H + stride - 1) / stride, Q = (W + stride - 1) / stride;
  Array y({N, P, Q, channels});
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t p = 0; p < P; ++p)
      for (std::int64_t q = 0; q < Q; ++q)
        for (std::int64_t c = 0; c < C; ++c)
          y(n, p, q, c + (channels - C) / 2) = x(n, p * stride, q * stride, c);
  return y;
}

}  // namespace clx::reference
