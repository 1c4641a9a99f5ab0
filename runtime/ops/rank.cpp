#include "runtime/ops/rank.h"

#include <limits>

#include "kernels/rank.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Tensor rank_maps(const Tensor& maps, const RankOptions& options) {
  require_floating("rank_maps", "maps", maps);
  require_rank("rank_maps", "maps (N,H,W)", maps, 3);
  require("rank_maps", "maps", maps, DType::f32, maps.shape(), maps.device());
  CLX_CHECK(options.channels > 0, "rank_maps: expected channels above 0, got ", options.channels);
  const std::int64_t N = maps.dim(0), pixels = maps.dim(1) * maps.dim(2);
  CLX_CHECK(pixels * options.channels <= std::numeric_limits<std::int32_t>::max(),
            "rank_maps: expected fewer than 2³¹ values a map, got ", pixels * options.channels);
  const kernels::RankShape s{static_cast<int>(N), static_cast<int>(pixels), options.channels,
                             options.magnitude};
  Tensor ranks(options.channels == 1 ? maps.shape() : Shape{N, maps.dim(1), maps.dim(2), options.channels},
               maps.device(), DType::i32);
  on(maps.device(), [&](const auto& backend) {
    kernels::rank_maps(backend, s, maps.data(), ranks.mutable_data<std::int32_t>());
  });
  return ranks;
}

}  // namespace clx
