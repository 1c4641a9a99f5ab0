// Whether an explanation lies on the object: pointing game, attribution localisation, relevance accuracies.
#pragma once

#include <vector>

#include "runtime/tensor.h"

namespace clx::xai {

/// 1 if a pixel where the map is largest lies on the object, else 0; any of tied maxima counts.
///
/// Shapes    maps (N,H,W) f32, masks (N,H,W) u8, object where not 0 → N values
/// Range     {0, 1}; the mean over samples is the score, higher is better
/// Throws    Error if shapes differ
/// Notes     NaN for an empty mask and for a map that is zero everywhere.
/// Source    Zhang et al. 2018, arXiv:1608.00507, §4.1, without their tolerance of 15 pixels; Quantus'
///           PointingGame
std::vector<double> pointing_game(const Tensor& maps, const Tensor& masks);

/// The share of attribution on the object: Σ_{mask}|a| / Σ|a|.
///
/// Shapes    maps (N,H,W) f32, masks (N,H,W) u8, object where not 0 → N values
/// Range     [0,1]; higher is better
/// Throws    Error if shapes differ
/// Notes     NaN for an empty mask and for a map that is zero everywhere.
/// Source    Kohlbrenner et al. 2020, arXiv:1910.09840, eq. 8 (μ); Quantus' AttributionLocalisation
std::vector<double> attribution_localisation(const Tensor& maps, const Tensor& masks);

/// Of the |mask| pixels with the largest values, the share that lies on the object; ties in raster order.
///
/// Shapes    maps (N,H,W) f32, masks (N,H,W) u8, object where not 0 → N values
/// Range     [0,1]; higher is better
/// Throws    Error if shapes differ
/// Notes     NaN for an empty mask and for a map that is zero everywhere.
/// Source    Arras et al. 2022, arXiv:2003.07258, eq. 2; Quantus' RelevanceRankAccuracy
std::vector<double> relevance_rank_accuracy(const Tensor& maps, const Tensor& masks);

/// The share of signed attribution on the object: Σ_{mask} a / Σ a.
///
/// Shapes    maps (N,H,W) f32, masks (N,H,W) u8, object where not 0 → N values
/// Range     [0,1] for maps without negative values, else unbounded; higher is better
/// Throws    Error if shapes differ
/// Notes     NaN for an empty mask and for a map that is zero everywhere.
/// Source    Arras et al. 2022, arXiv:2003.07258, eq. 1; Quantus' RelevanceMassAccuracy
std::vector<double> relevance_mass_accuracy(const Tensor& maps, const Tensor& masks);

}  // namespace clx::xai
