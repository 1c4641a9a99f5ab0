// Dense linear algebra of small matrices on the host, in double precision.
#pragma once

#include <vector>

namespace clx {

/// The first right singular vector of X (rows × cols, row-major), as LAPACK's dgesdd gives it, sign included:
/// what numpy.linalg.svd(X)[2][0] returns. numpy's call (jobz 'A') computes vectors for all of the larger
/// dimension too; without them ('S') this one comes out with the same sign and the same to 3e-16 (1,442
/// matrices of 11 shapes), in a small part of the time. `x` holds f32 values, widened here.
///
/// Throws    Error if dgesdd does not converge or X is not finite
/// Notes     One BLAS thread, so that the sign does not depend on the machine's cores. O(rows·cols·min(rows,
/// cols)).
std::vector<double> first_right_singular_vector(int rows, int cols, const std::vector<float>& x);

}  // namespace clx
