// The meaning of matmul and linear.
#pragma once

#include "tests/reference/array.h"

namespace clx::reference {

/// c[m,n] = Σ_k op(a)[m,k]·op(b)[k,n], op being the transposition where asked for.
inline Array matmul(const Array& a, const Array& b, bool transpose_a = false, bool transpose_b = false) {
  const std::int64_t M = a.dim(transpose_a ? 1 : 0), K = a.dim(transpose_a ? 0 : 1);
  const std::int64_t N = b.dim(transpose_b ? 0 : 1);
  Array c({M, N});
  for (std::int64_t m = 0; m < M; ++m)
    for (std::int64_t n = 0; n < N; ++n)
      for (std::int64_t k = 0; k < K; ++k)
        c(m, n) += (transpose_a ? a(k, m) : a(m, k)) * (transpose_b ? b(n, k) : b(k, n));
  return c;
}

/// y[n,k] = Σ_d x[n,d]·w[k,d] + b[k].
inline Array linear(const Array& x, const Array& w, const Array& b) {
  Array y = matmul(x, w, false, true);
  for (std::int64_t n = 0; n < y.dim(0); ++n)
    for (std::int64_t k = 0; k < y.dim(1); ++k)
      y(n, k) += b.defined() ? b(k) : 0.0;
  return y;
}

}  // namespace clx::reference
