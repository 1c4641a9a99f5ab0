// Slightly other images: noise, and the ranges they are kept in.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// sigma·N(0,1), keyed by (seed, sample).
///
/// Shapes    samples holds N sample ids → (N,H,W,C) f32 on the cpu
/// Throws    Error if there are no samples, an extent is not above 0 or sigma is negative
Tensor gaussian_noise(
    const std::vector<std::int64_t>& samples, int H, int W, int C, float sigma, std::uint64_t seed);

/// Bounds per channel; empty: none.
struct Bounds {
  std::vector<float> low{}, high{};
};

/// clamp(x + noise, low, high).
///
/// Shapes    x (N,H,W,C) f32 or bf16, noise alike in f32 → like x
/// Throws    Error if shapes differ or the bounds are not of C channels
Tensor add_noise(const Tensor& x, const Tensor& noise, const Bounds& bounds = {});

}  // namespace clx::xai
