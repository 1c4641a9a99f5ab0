// Several tensors one after the other.
#pragma once

#include <vector>

#include "runtime/tensor.h"

namespace clx {

/// The rows of all parts along the leading axis, in order.
///
/// Shapes    (N₁,…), (N₂,…), … → (N₁+N₂+…,…), of one dtype and device
/// Gradient  none
/// Throws    Error if there is no part, or shapes beyond the leading axis, dtypes or devices differ
/// Notes     A copy; one part alone is returned as it is.
Tensor join(const std::vector<Tensor>& parts);

}  // namespace clx
