// The convolution and its gradients as plain loops in double, for the tests of the CPU kernels.
#pragma once

#include <string>
#include <vector>

#include "kernels/conv2d.h"

namespace clx::kernels {

/// y = conv(x, w), and for dy its gradients dx and dw.
struct Convolved {
  std::vector<double> y, dx, dw;
};
inline Convolved convolved(const Conv2dShape& s,
                           const std::vector<double>& x,
                           const std::vector<double>& w,
                           const std::vector<double>& dy) {
  Convolved out{std::vector<double>(std::size_t(s.N) * s.P() * s.Q() * s.K), std::vector<double>(x.size()),
                std::vector<double>(w.size())};
  std::size_t i = 0;
  for (int n = 0; n < s.N; ++n)
    for (int p = 0; p < s.P(); ++p)
      for (int q = 0; q < s.Q(); ++q)
        for (int k = 0; k < s.K; ++k, ++i)
          for (int r = 0; r < s.R; ++r)
            for (int t = 0; t < s.S; ++t) {
              const int h = p * s.stride + r - s.padding, v = q * s.stride + t - s.padding;
              if (h < 0 || h >= s.H || v < 0 || v >= s.W) continue;
              for (int c = 0; c < s.C; ++c) {
                const std::size_t at_x = ((std::size_t(n) * s.H + h) * s.W + v) * s.C + c;
                const std::size_t at_w = ((std::size_t(k) * s.R + r) * s.S + t) * s.C + c;
                out.y[i] += x[at_x] * w[at_w];
                out.dx[at_x] += dy[i] * w[at_w];
                out.dw[at_w] += dy[i] * x[at_x];
              }
            }
  return out;
}

inline std::string name(const Conv2dShape& s) {
  return "N" + std::to_string(s.N) + " H" + std::to_string(s.H) + " W" + std::to_string(s.W) + " C" +
         std::to_string(s.C) + " K" + std::to_string(s.K) + " R" + std::to_string(s.R) + " stride" +
         std::to_string(s.stride) + " padding" + std::to_string(s.padding);
}

}  // namespace clx::kernels
