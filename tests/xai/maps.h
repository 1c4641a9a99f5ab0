// Maps of closed form, shared by the tests of explanations and metrics.
#pragma once

#include <cmath>

#include "runtime/tensor.h"

namespace clx::xai {

/// One map (1,h,w) with f(i,j) at row i, column j.
template <class F>
Tensor raw_map(int h, int w, F&& f) {
  Tensor m({1, h, w});
  float* out = m.mutable_data();
  for (int i = 0; i < h; ++i)
    for (int j = 0; j < w; ++j)
      *out++ = static_cast<float>(f(i, j));
  return m;
}

inline Tensor map7() {
  return raw_map(7, 7, [](int i, int j) { return std::cos(0.7 * i) * std::sin(0.9 * j + 0.3); });
}

/// Object in the centred square [n/4, 3n/4)².
inline Tensor centre_mask(int n) {
  Tensor mask({1, n, n}, kCpu, DType::u8);
  auto* out = mask.mutable_data<std::uint8_t>();
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      *out++ = i >= n / 4 && i < 3 * n / 4 && j >= n / 4 && j < 3 * n / 4;
  return mask;
}

}  // namespace clx::xai
