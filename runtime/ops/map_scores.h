// Numbers that describe maps, with or without the masks of objects, on the host.
#pragma once

#include <vector>

#include "kernels/map_scores.h"
#include "runtime/tensor.h"

namespace clx {

using kernels::MapScores;
using kernels::MaskScores;

/// Entropy, Gini index and counts of each map; kernels/map_scores.h has the formulas.
///
/// Shapes    maps (N,H,W) f32, ranks (N,H,W) i32 of the magnitudes (rank_maps) or undefined: without them the
///           Gini index is 0 → N values on the host
/// Throws    Error if shapes or devices differ
/// Notes     Waits for the device.
std::vector<MapScores> map_scores(const Tensor& maps, const Tensor& ranks = {}, float threshold = 1e-5f);

/// How each map lies on an object.
///
/// Shapes    maps (N,H,W) f32, masks (N,H,W) u8, object where not 0, ranks (N,H,W) i32 of the maps
/// (rank_maps)
///           or undefined: without them `top` is 0 → N values on the host
/// Throws    Error if shapes or devices differ
/// Notes     Waits for the device.
std::vector<MaskScores> mask_scores(const Tensor& maps, const Tensor& masks, const Tensor& ranks = {});

/// The two in halves, for what is captured (runtime/graph.h): scores on the device, (N,·) i64 words that only
/// the other half understands, and those on the host.
/// Throws    Error if shapes or devices differ
Tensor queue_map_scores(const Tensor& maps, const Tensor& ranks = {}, float threshold = 1e-5f);
Tensor queue_mask_scores(const Tensor& maps, const Tensor& masks, const Tensor& ranks = {});
std::vector<MapScores> read_map_scores(const Tensor& queued);
std::vector<MaskScores> read_mask_scores(const Tensor& queued);

}  // namespace clx
