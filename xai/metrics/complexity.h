// How concentrated an explanation is: entropy, effective complexity and Gini index.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

struct ComplexityOptions {
  bool normalized = false;  // divide by ln(H·W), the entropy of a uniform map: comparable between map sizes
};

/// Entropy of each map as a distribution over pixels: −Σ p·ln p, p = |a|/Σ|a|, 0·ln 0 = 0.
///
/// Shapes    maps (N,H,W) f32 → N values
/// Range     [0, ln(H·W)] nats, or [0,1] if normalized; lower is simpler
/// Throws    Error unless maps is (N,H,W) of f32
/// Notes     NaN for a map that is zero everywhere.
/// Source    Bhatt et al. 2020, arXiv:2005.00631, definition 3 (complexity); Quantus' Complexity
std::vector<double> complexity(const Tensor& maps, const ComplexityOptions& options = {});

/// How many pixels of each map have |a|/max|a| above the threshold.
///
/// Shapes    maps (N,H,W) f32 → N values
/// Range     0 … H·W; lower is simpler
/// Throws    Error unless maps is (N,H,W) of f32
/// Notes     NaN for a map that is zero everywhere.
/// Source    Nguyen & Martínez 2020, arXiv:2007.07584, §3; Quantus' EffectiveComplexity, but normalised by
///           each map's own maximum, so that the batch does not matter
std::vector<double> effective_complexity(const Tensor& maps, float threshold = 1e-5f);

/// Gini index of each map: with v = |a|/max|a| + 1e-7 in ascending order,
/// Σ_i (2i − n − 1)·v_i / (n·Σ v).
///
/// Shapes    maps (N,H,W) f32 → N values
/// Range     [0, 1 − 1/n]; higher is sparser
/// Throws    Error unless maps is (N,H,W) of f32
/// Notes     NaN for a map that is zero everywhere. The 1e-7 is Quantus'.
/// Source    Chalasani et al. 2020, arXiv:1810.06583, §2; Quantus' Sparseness
std::vector<double> sparseness(const Tensor& maps);

/// For each map, 1 if it is zero everywhere, else 0: an explanation that says nothing.
///
/// Shapes    maps (N,H,W) f32 → N values
/// Throws    Error unless maps is (N,H,W) of f32
std::vector<std::uint8_t> all_zero(const Tensor& maps);

}  // namespace clx::xai
