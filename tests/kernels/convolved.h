// The convolution and its gradients as plain loops, for the tests of the kernels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/conv2d.h"

namespace clx::kernels {

inline std::int64_t x_size(const Conv2dShape& s) {
  return std::int64_t(s.N) * s.H * s.W * s.C;
}
inline std::int64_t w_size(const Conv2dShape& s) {
  return std::int64_t(s.K) * s.R * s.S * s.C;
}
inline std::int64_t y_size(const Conv2dShape& s) {
  return std::int64_t(s.N) * s.P() * s.Q() * s.K;
}

/// Calls f(index in x, index in w, index in y) for every product of the convolution.
template <class F>
void for_each_product(const Conv2dShape& s, F&& f) {
  for (int n = 0; n < s.N; ++n)
    for (int p = 0; p < s.P(); ++p)
      for (int q = 0; q < s.Q(); ++q)
        for (int r = 0; r < s.R; ++r)
          for (int t = 0; t < s.S; ++t) {
            const int h = p * s.stride + r - s.padding, w = q * s.stride + t - s.padding;
            if (h < 0 || h >= s.H || w < 0 || w >= s.W) continue;
            const std::size_t x = ((std::size_t(n) * s.H + h) * s.W + w) * s.C;
            const std::size_t y = ((std::size_t(n) * s.P() + p) * s.Q() + q) * s.K;
            for (int k = 0; k < s.K; ++k)
              for (int c = 0; c < s.C; ++c)
                f(x + c, ((std::size_t(k) * s.R + r) * s.S + t) * s.C + c, y + k);
          }
}

/// y = conv(x, w), and for dy its gradients dx and dw.
template <class Number>
struct Convolved {
  std::vector<Number> y, dx, dw;
};
template <class Number>
Convolved<Number> convolved(const Conv2dShape& s,
                            const std::vector<Number>& x,
                            const std::vector<Number>& w,
                            const std::vector<Number>& dy) {
  Convolved<Number> out{std::vector<Number>(std::size_t(y_size(s))), std::vector<Number>(x.size()),
                        std::vector<Number>(w.size())};
  for_each_product(s, [&](std::size_t i, std::size_t j, std::size_t o) {
    out.y[o] += x[i] * w[j];
    out.dx[i] += dy[o] * w[j];
    out.dw[j] += dy[o] * x[i];
  });
  return out;
}

inline std::string name(const Conv2dShape& s) {
  return "N" + std::to_string(s.N) + " H" + std::to_string(s.H) + " W" + std::to_string(s.W) + " C" +
         std::to_string(s.C) + " K" + std::to_string(s.K) + " R" + std::to_string(s.R) + " S" +
         std::to_string(s.S) + " stride" + std::to_string(s.stride) + " padding" + std::to_string(s.padding);
}

}  // namespace clx::kernels
