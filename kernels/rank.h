// The order in which the pixels of a map are removed.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace clx::kernels {

/// N maps of `pixels` values, ranked as if each value occurred in `channels` planes one after the other.
struct RankShape {
  int N = 0, pixels = 0, channels = 1;
  bool magnitude = false;  // rank |map| instead
};

/// ranks[n,p,c] = the place of the value of pixel p in plane c among the pixels·channels values of map n in
/// descending order; equal ones in the order of the index c·pixels + p. −0 equals 0; NaN comes last.
void rank_maps(const Cpu&, const RankShape&, const float* maps, std::int32_t* ranks);
void rank_maps(const Cuda&, const RankShape&, const float* maps, std::int32_t* ranks);
void rank_maps(const Emulated&, const RankShape&, const float* maps, std::int32_t* ranks);

}  // namespace clx::kernels
