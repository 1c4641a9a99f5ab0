#include "runtime/linalg.h"

#include <algorithm>
#include <cmath>
#include <lapacke.h>

#include "runtime/check.h"

extern "C" void openblas_set_num_threads(int);

namespace clx {

std::vector<double> first_right_singular_vector(int rows, int cols, const std::vector<float>& x) {
  CLX_CHECK(
      rows > 0 && cols > 0 && x.size() == static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols),
      "svd: expected a matrix of ", rows, "×", cols, ", got ", x.size(), " values");
  CLX_CHECK(std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); }),
            "svd: expected finite values");
  openblas_set_num_threads(1);
  const auto m = static_cast<std::size_t>(rows), n = static_cast<std::size_t>(cols);
  std::vector<double> a(m * n);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j)
      a[j * m + i] = x[i * n + j];
  const std::size_t k = std::min(m, n);
  std::vector<double> s(k), u(m * k), vt(k * n);
  const int info = LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', rows, cols, a.data(), rows, s.data(), u.data(), rows,
                                  vt.data(), static_cast<int>(k));
  CLX_CHECK(info == 0, "svd: dgesdd did not converge (info ", info, ")");
  std::vector<double> v(n);
  for (std::size_t j = 0; j < n; ++j)
    v[j] = vt[j * k];
  return v;
}

}  // namespace clx
