// How the CPU convolves.
#pragma once

#include <cstdint>

namespace clx {

/// direct: the sum as it is written. winograd: f32 convolutions with 3×3 filters, stride 1 and multiples of
/// 16 channels by Winograd's F(4×4,3×3), which has other rounding errors of the same size; all others direct.
/// automatic: Winograd's where a fixed table says that it is faster. GPUs convolve directly.
enum class Conv2dAlgorithm : std::uint8_t { automatic, direct, winograd };

}  // namespace clx
