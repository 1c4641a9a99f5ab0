// A map is one thread's; a vector of values at a time, in sums of their own that are added in the end.
#include "kernels/map_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/doubles.h"
#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Doubles magnitude(Doubles v) {
  return v < 0 ? -v : v;
}

// f(lanes, first index) for all values of a map, the last ones filled with zeros.
template <class F>
void for_lanes(int pixels, const float* map, F&& f) {
  int i = 0;
  for (; i + kDoubles <= pixels; i += kDoubles)
    f(load_doubles(map + i), i);
  if (i < pixels) f(load_first_doubles(map + i, pixels - i), i);
}

float largest_magnitude(int pixels, const float* map) {
  constexpr int kLanes = 16;
  float lane[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= pixels; i += kLanes)
    for (int k = 0; k < kLanes; ++k)
      lane[k] = std::max(lane[k], std::abs(map[i + k]));
  float largest = *std::max_element(lane, lane + kLanes);
  for (; i < pixels; ++i)
    largest = std::max(largest, std::abs(map[i]));
  return largest;
}

int count_above(int pixels, const float* map, float largest, float threshold) {
  int count = 0;
  for (int i = 0; i < pixels; ++i)
    count += std::abs(map[i]) / largest > threshold;
  return count;
}

double gini_of(int pixels, const float* map, const std::int32_t* ranks, double largest, double sum) {
  constexpr double kShift = 1e-7;
  Doubles weighted = {};
  double rest = 0;
  int i = 0;
  for (; i + kDoubles <= pixels; i += kDoubles) {
    HalfInts rank;
    std::memcpy(&rank, ranks + i, sizeof rank);
    const Doubles weight = static_cast<double>(pixels - 1) - 2 * __builtin_convertvector(rank, Doubles);
    weighted += weight * (magnitude(load_doubles(map + i)) / largest + kShift);
  }
  for (; i < pixels; ++i)
    rest += (pixels - 1 - 2.0 * ranks[i]) * (std::abs(static_cast<double>(map[i])) / largest + kShift);
  return (sum_of_lanes(weighted) + rest) / (pixels * (sum / largest + pixels * kShift));
}

MapScores scores_of(int pixels, float threshold, const float* map, const std::int32_t* ranks) {
  Doubles sums = {}, logs = {};
  for_lanes(pixels, map, [&](Doubles v, int) {
    const Doubles a = magnitude(v);
    sums += a;
    logs += a * log_lanes(a);
  });
  const double sum = sum_of_lanes(sums);
  if (!(sum > 0)) return {kNaN, kNaN, 0, sum == 0 ? 1.0 : 0.0};
  const float largest = largest_magnitude(pixels, map);
  MapScores scores;
  scores.entropy = std::log(sum) - sum_of_lanes(logs) / sum;  // −Σ (a/sum)·(ln a − ln sum)
  if (ranks) scores.gini = gini_of(pixels, map, ranks, static_cast<double>(largest), sum);
  scores.effective = count_above(pixels, map, largest, threshold);
  return scores;
}

MaskScores scores_of(int pixels, const float* map, const std::uint8_t* mask, const std::int32_t* ranks) {
  double inside = 0, total = 0, signed_inside = 0, signed_total = 0;
  float largest = map[0];
  int area = 0, hits = 0, top = 0;
  for (int i = 0; i < pixels; ++i) {
    const double v = static_cast<double>(map[i]), a = std::abs(v), on = mask[i] ? 1 : 0;
    total += a;
    inside += on * a;
    signed_total += v;
    signed_inside += on * v;
    largest = map[i] > largest ? map[i] : largest;
    area += mask[i] != 0;
  }
  MaskScores scores{kNaN, kNaN, kNaN, kNaN, static_cast<double>(area) / pixels};
  if (area == 0 || !(total > 0)) return scores;
  for (int i = 0; i < pixels; ++i)
    hits |= map[i] == largest && mask[i] != 0;
  for (int i = 0; ranks && i < pixels; ++i)
    top += ranks[i] < area && mask[i] != 0;
  scores.hit = hits;
  scores.share = inside / total;
  scores.mass = signed_inside / signed_total;
  if (ranks) scores.top = static_cast<double>(top) / area;
  return scores;
}

}  // namespace

void map_scores(const Cpu&,
                int N,
                int pixels,
                float threshold,
                const float* maps,
                const std::int32_t* ranks,
                MapScores* scores) {
  parallel_for(N, [&](std::int64_t n) {
    scores[n] = scores_of(pixels, threshold, maps + n * pixels, ranks ? ranks + n * pixels : nullptr);
  });
}

void mask_scores(const Cpu&,
                 int N,
                 int pixels,
                 const float* maps,
                 const std::uint8_t* masks,
                 const std::int32_t* ranks,
                 MaskScores* scores) {
  parallel_for(N, [&](std::int64_t n) {
    scores[n] =
        scores_of(pixels, maps + n * pixels, masks + n * pixels, ranks ? ranks + n * pixels : nullptr);
  });
}

}  // namespace clx::kernels
