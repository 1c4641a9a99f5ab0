// Maps that explain nothing: what a metric says of them is what it says of chance.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// Values uniform in [0,1), keyed by (seed, sample): the control that any explanation should beat.
///
/// Shapes    samples holds N sample ids → (N,height,width) f32 on the cpu
/// Throws    Error if there are no samples or the size is not above 0
Tensor random_maps(const std::vector<std::int64_t>& samples, int height, int width, std::uint64_t seed);

/// 1 − map: the opposite statement with the same shapes in it.
///
/// Shapes    maps (N,H,W) f32 → alike
/// Notes     A map that is zero everywhere says nothing, and so does its opposite: it stays zero.
Tensor inverted_maps(const Tensor& maps);

}  // namespace clx::xai
