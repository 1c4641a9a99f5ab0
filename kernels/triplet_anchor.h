// What one anchor of the triplet loss finds, and what all of them together decide: the same on every backend.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/host_device.h"

namespace clx::kernels {

/// One row of distances.
struct TripletAnchor {
  double sum = 0;          // Σ (d_ap − d_an + margin) over the semi-hard triplets
  std::int64_t count = 0;  // of them
  float positive = 0;      // the greatest distance to a positive, and whose it is: the first of equals
  std::int32_t hardest_positive = -1;
  float negative = 0;  // the least distance to a negative
  std::int32_t hardest_negative = -1;
  float largest = 0;  // of the row, and how often it occurs
  std::int32_t ties = 0;
  bool finite = true;
};

/// Whether a triplet is semi-hard. Monotone in both distances, rounding included.
CLX_HOST_DEVICE inline bool is_semi_hard(float positive, float negative, float margin) {
  return positive < negative && (positive - negative) + margin > 0;
}

/// The anchor's term in the mean over hardest pairs; `largest` is the batch's largest distance.
CLX_HOST_DEVICE inline float hard_term(const TripletAnchor& a, float largest, float margin) {
  if (a.hardest_positive < 0) return 0;
  const float term = (a.positive - (a.hardest_negative < 0 ? largest : a.negative)) + margin;
  return term > 0 ? term : 0;
}

/// Sums over the anchors.
struct TripletTotals {
  double semi_sum = 0, hard_sum = 0;
  std::int64_t semi_count = 0;
  std::int64_t valid = 0, pulling = 0;  // anchors with a positive; those whose hard term is above 0
  float largest = 0;
  std::int64_t ties = 0;  // pairs (i,j) at the largest distance
  bool finite = true;
};

/// What the rows' second pass needs.
struct TripletDecision {
  float scale = 0;    // of the laplacian
  float largest = 0;  // the batch's largest distance
  float share = 0;    // of each pair at that distance, if no anchor has a negative
  bool hard = false;  // the hardest pairs decide
  bool one_class = false;
};

CLX_HOST_DEVICE inline TripletDecision decide_triplet(
    const TripletTotals& t, bool hard, bool one_class, float* loss, std::int64_t* active) {
  TripletDecision d;
  *active = 0;
  if (!t.finite) {
    d.scale = *loss = std::numeric_limits<float>::quiet_NaN();
    return d;
  }
  d.largest = t.largest;
  d.one_class = one_class;
  d.hard = hard || t.semi_count == 0;
  const double mean = 1.0 / static_cast<double>(d.hard ? (t.valid > 0 ? t.valid : 1) : t.semi_count);
  d.scale = static_cast<float>(mean);
  *loss = static_cast<float>((d.hard ? t.hard_sum : t.semi_sum) * mean);
  if (!d.hard) *active = t.semi_count;
  if (d.hard && one_class && t.ties > 0)
    d.share = static_cast<float>(static_cast<double>(t.pulling) / static_cast<double>(t.ties));
  return d;
}

CLX_HOST_DEVICE inline float inverse_distance(float d) {
  return d > 0 ? 1 / d : 0;
}

/// C_ij/d_ij of the hardest pairs, times the number of anchors in the mean; without the batch's largest
/// distance.
CLX_HOST_DEVICE inline float hard_pull(const TripletAnchor& i, int j, float largest, float margin) {
  if (i.hardest_positive != j && i.hardest_negative != j) return 0;
  if (!(hard_term(i, largest, margin) > 0)) return 0;
  return i.hardest_positive == j ? inverse_distance(i.positive) : -inverse_distance(i.negative);
}

/// (C_ij + C_ji)/d_ij of the hardest pairs, times the number of anchors in the mean.
CLX_HOST_DEVICE inline float hard_weight(const TripletAnchor& at_i,
                                         const TripletAnchor& at_j,
                                         int i,
                                         int j,
                                         float distance,
                                         const TripletDecision& d,
                                         float margin) {
  float weight = hard_pull(at_i, j, d.largest, margin) + hard_pull(at_j, i, d.largest, margin);
  if (d.one_class && distance == d.largest) weight -= 2 * d.share * inverse_distance(distance);
  return weight;
}

}  // namespace clx::kernels
