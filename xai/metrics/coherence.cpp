#include "xai/metrics/coherence.h"

#include "runtime/ops/map_scores.h"
#include "runtime/ops/rank.h"
#include "xai/require_maps.h"

namespace clx::xai {
namespace {

std::vector<double> of_each(const char* who,
                            const Tensor& maps,
                            const Tensor& masks,
                            double MaskScores::*score) {
  require_maps(who, maps);
  CLX_CHECK(masks.defined() && masks.dtype() == DType::u8 && masks.shape() == maps.shape(), who,
            ": expected masks of u8 and shape ", maps.shape(), ", got ",
            masks.defined() ? concat(name_of(masks.dtype()), " and ", masks.shape()) : "none");
  const Tensor ranks = score == &MaskScores::top ? rank_maps(maps) : Tensor();
  std::vector<double> values;
  for (const MaskScores& s : mask_scores(maps, masks.to(maps.device()), ranks))
    values.push_back(s.*score);
  return values;
}

}  // namespace

std::vector<double> pointing_game(const Tensor& maps, const Tensor& masks) {
  return of_each("pointing_game", maps, masks, &MaskScores::hit);
}

std::vector<double> attribution_localisation(const Tensor& maps, const Tensor& masks) {
  return of_each("attribution_localisation", maps, masks, &MaskScores::share);
}

std::vector<double> relevance_rank_accuracy(const Tensor& maps, const Tensor& masks) {
  return of_each("relevance_rank_accuracy", maps, masks, &MaskScores::top);
}

std::vector<double> relevance_mass_accuracy(const Tensor& maps, const Tensor& masks) {
  return of_each("relevance_mass_accuracy", maps, masks, &MaskScores::mass);
}

}  // namespace clx::xai
