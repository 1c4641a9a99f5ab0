// The order in which the pixels of maps are removed.
#pragma once

#include "runtime/tensor.h"

namespace clx {

struct RankOptions {
  int channels = 1;        // ranks of the values of this many equal planes instead of one
  bool magnitude = false;  // of |map|
};

/// ranks[n,i,j,c] = the place of pixel (i,j) of plane c among all values of map n in descending order, from
/// 0.
///
/// Shapes    maps (N,H,W) f32 → (N,H,W) i32, or (N,H,W,channels) where there are several
/// Gradient  none
/// Throws    Error unless maps is (N,H,W) of f32 and channels is above 0
/// Notes     Equal values come in the order of their planes, then in raster order. −0 equals 0; NaN comes
/// last,
///           as in numpy's argsort of −map.
Tensor rank_maps(const Tensor& maps, const RankOptions& options = {});

}  // namespace clx
