// How matrix products are computed.
#pragma once

#include <cstdint>

namespace clx {

/// On a GPU: custom, our kernels; cublas, NVIDIA's library cuBLASLt; automatic, custom. On the emulator as on
/// a GPU, but for the library. On a CPU: automatic.
enum class MatmulAlgorithm : std::uint8_t { automatic, custom, cublas };

}  // namespace clx
