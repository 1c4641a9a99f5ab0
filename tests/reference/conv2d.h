// The meaning of conv2d.
#pragma once

#include <algorithm>

#include "tests/reference/array.h"

namespace clx::reference {

struct Conv2dOptions {
  int stride = 1, padding = 0;
  Array bias{}, residual{};
  bool relu = false;
};

/// y[n,p,q,k] = Σ_{r,s,c} x[n, p·stride + r − padding, q·stride + s − padding, c] · w[k,r,s,c], where x is 0
/// outside the image; then relu(y + bias[k] + residual), each part optional.
inline Array conv2d(const Array& x, const Array& w, const Conv2dOptions& options = {}) {
  const std::int64_t N = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const std::int64_t K = w.dim(0), R = w.dim(1), S = w.dim(2);
  const std::int64_t P = (H + 2 * options.padding - R) / options.stride + 1;
  const std::int64_t Q = (W + 2 * options.padding - S) / options.stride + 1;
  Array y({N, P, Q, K});
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t p = 0; p < P; ++p)
      for (std::int64_t q = 0; q < Q; ++q)
        for (std::int64_t k = 0; k < K; ++k) {
          double sum = 0;
          for (std::int64_t r = 0; r < R; ++r)
            for (std::int64_t s = 0; s < S; ++s) {
              const std::int64_t h = p * options.stride + r - options.padding;
              const std::int64_t v = q * options.stride + s - options.padding;
              if (h < 0 || h >= H || v < 0 || v >= W) continue;
              for (std::int64_t c = 0; c < C; ++c)
                sum += x(n, h, v, c) * w(k, r, s, c);
            }
          if (options.bias.defined()) sum += options.bias(k);
          if (options.residual.defined()) sum += options.residual(n, p, q, k);
          y(n, p, q, k) = options.relu ? std::max(sum, 0.0) : sum;
        }
  return y;
}

}  // namespace clx::reference
