#include "kernels/cpu/onednn.h"
#include "kernels/cpu/winograd.h"
#include "kernels/cpu/winograd_tiles.h"

namespace clx::kernels {
namespace {

using namespace winograd;

// How many channels pay for the transforms. A processor with matrix instructions forms direct sums of bf16
// products faster. Measured on a Zen 4 with 512-bit vectors.
constexpr int kNever = 1 << 30;
int fewest_channels(DType dtype, bool weight_gradient) {
  if (dtype == DType::bf16 && onednn_has_bf16_matrices()) return kNever;
  return weight_gradient ? 64 : 32;
}

bool is_possible(const Conv2dShape& s) {
  return s.R == kTaps && s.S == kTaps && s.stride == 1 && s.padding < kTaps && s.C % kLanes == 0 &&
         s.K % kLanes == 0;
}

// Products along one axis that the direct sum forms: those with padding it skips.
int products(int extent, int outputs, int padding) {
  int count = 0;
  for (int p = 0; p < outputs; ++p)
    for (int r = 0; r < kTaps; ++r)
      count += p + r >= padding && p + r < extent + padding;
  return count;
}

// Tiles that hang over an image's edge compute in vain.
bool tiles_fit(const Conv2dShape& s) {
  const int tiles = ((s.P() + kTile - 1) / kTile) * ((s.Q() + kTile - 1) / kTile);
  return 3 * kPoints * tiles <= 2 * products(s.H, s.P(), s.padding) * products(s.W, s.Q(), s.padding);
}

bool chosen(const Conv2dShape& s, DType dtype, bool weight_gradient) {
  if (!is_possible(s)) return false;
  if (s.algorithm != Conv2dAlgorithm::automatic) return s.algorithm == Conv2dAlgorithm::winograd;
  return std::min(s.C, s.K) >= fewest_channels(dtype, weight_gradient) && tiles_fit(s);
}

}  // namespace

bool winograd_computes(const Conv2dShape& s, DType dtype) {
  return chosen(s, dtype, false);
}

bool winograd_computes_weight(const Conv2dShape& s, DType dtype) {
  return chosen(s, dtype, true);
}

}  // namespace clx::kernels
