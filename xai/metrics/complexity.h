// How concentrated an explanation is: entropy and Gini index.
#pragma once

#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// Entropy of each map as a distribution over pixels: −Σ p·ln p, p = |a|/Σ|a|, 0·ln 0 = 0.
///
/// Shapes    maps (N,H,W) f32 → N values
/// Range     [0, ln(H·W)] nats; lower is simpler. Not comparable between map sizes
/// Throws    Error unless maps is (N,H,W) of f32
/// Notes     NaN for a map that is zero everywhere.
/// Source    Bhatt et al. 2020, arXiv:2005.00631, definition 3 (complexity); Quantus' Complexity
std::vector<double> complexity(const Tensor& maps);

/// Gini index of each map: with v = |a|/max|a| + 1e-7 in ascending order,
/// Σ_i (2i − n − 1)·v_i / (n·Σ v).
///
/// Shapes    maps (N,H,W) f32 → N values
/// Range     [0, 1 − 1/n]; higher is sparser
/// Throws    Error unless maps is (N,H,W) of f32
/// Notes     NaN for a map that is zero everywhere. The 1e-7 is Quantus'.
/// Source    Chalasani et al. 2020, arXiv:1810.06583, §2; Quantus' Sparseness
std::vector<double> sparseness(const Tensor& maps);

}  // namespace clx::xai
