// How convolutions are computed.
#pragma once

#include <cstdint>

namespace clx {

/// On a CPU: direct, the sum as it is written; winograd, convolutions with 3×3 filters, stride 1 and
/// multiples of 16 channels by Winograd's F(4×4,3×3), which has other rounding errors, of f32 of the same
/// size, of bf16 about twice as large, and all others direct; automatic, Winograd's where a fixed table says
/// that it is faster. On a GPU: custom, our kernels; cudnn, NVIDIA's library; automatic, custom. On the
/// emulator as on a GPU, but for the library. The choice never depends on a timing.
enum class Conv2dAlgorithm : std::uint8_t { automatic, direct, winograd, custom, cudnn };

}  // namespace clx
