// Dense linear algebra of small matrices on the host, in double precision.
#pragma once

#include <vector>

namespace clx {

/// The first right singular vector of X (rows × cols, row-major), as LAPACK's dgesdd with jobz 'A' gives
/// it, sign included: what numpy.linalg.svd(X)[2][0] returns. `x` holds f32 values, widened here.
///
/// Throws    Error if dgesdd does not converge or X is not finite
/// Notes     One BLAS thread, so that the sign does not depend on the machine's cores. O(rows·cols²).
std::vector<double> first_right_singular_vector(int rows, int cols, const std::vector<float>& x);

}  // namespace clx
