// What one should know of a map before one believes it.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// 1 for each raw map that is larger where the layer is less active: Σ_ij raw_ij·(m_ij − mean(m)) < 0 with
/// m_ij = Σ_k activation_ijk. Such an Eigen-CAM shows the background.
///
/// Shapes    raw (N,h,w) f32, activation (N,h,w,C) f32 or bf16 → N values
/// Throws    Error if shapes differ
std::vector<std::uint8_t> opposes_activation(const Tensor& raw, const Tensor& activation);

/// m (N,h,w) of the above, on the device: the sum over the channels.
/// Throws    Error unless activation is (N,h,w,C)
Tensor activity(const Tensor& activation);

/// The flags of raw maps beside m.
/// Throws    Error if shapes differ
std::vector<std::uint8_t> opposes_activity(const Tensor& raw, const Tensor& activity);

}  // namespace clx::xai
