// What: entropy, Gini index and other numbers of maps, and of maps with masks, as kernels/map_scores.h says.
// Who: a block per map; thread t takes the values t, t + 256, …; sums by block, in a fixed order.
// Where: registers; a map is read twice, the second time from the caches.
// Limit: f64 logarithms, one per value.
#include "kernels/map_scores.h"

#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) map_scores_kernel(
    int pixels, float threshold, const float* maps, const std::int32_t* ranks, MapScores* scores) {
  const std::int64_t map = std::int64_t(blockIdx.x) * pixels;
  double sum = 0, logs = 0;
  float most = 0;
  for (int i = threadIdx.x; i < pixels; i += kThreads) {
    const double a = fabs(static_cast<double>(maps[map + i]));
    sum += a;
    if (a != 0) logs += a * log(a);
    most = fmaxf(most, static_cast<float>(a));
  }
  sum = block_sum<kThreads>(sum);
  logs = block_sum<kThreads>(logs);
  const float largest = block_max<kThreads>(most);
  constexpr double kShift = 1e-7;
  double weighted = 0;
  int above = 0;
  for (int i = threadIdx.x; i < pixels; i += kThreads) {
    const float a = fabsf(maps[map + i]);
    above += __fdiv_rn(a, largest) > threshold;
    if (ranks) weighted += (pixels - 1 - 2.0 * ranks[map + i]) * (double(a) / double(largest) + kShift);
  }
  above = block_sum<kThreads>(above);
  weighted = block_sum<kThreads>(weighted);
  if (threadIdx.x != 0) return;
  MapScores result;
  if (!(sum > 0)) {
    result = {NAN, NAN, 0, sum == 0 ? 1.0 : 0.0};
  } else {
    result.entropy = log(sum) - logs / sum;
    result.effective = above;
    if (ranks) result.gini = weighted / (pixels * (sum / double(largest) + pixels * kShift));
  }
  scores[blockIdx.x] = result;
}

__global__ void __launch_bounds__(kThreads) mask_scores_kernel(
    int pixels, const float* maps, const std::uint8_t* masks, const std::int32_t* ranks, MaskScores* scores) {
  const std::int64_t map = std::int64_t(blockIdx.x) * pixels;
  double inside = 0, total = 0, signed_inside = 0, signed_total = 0;
  float most = -INFINITY;
  int area = 0;
  for (int i = threadIdx.x; i < pixels; i += kThreads) {
    const float value = maps[map + i];
    const double v = value, a = fabs(v);
    total += a;
    signed_total += v;
    most = fmaxf(most, value);
    if (masks[map + i] == 0) continue;
    inside += a;
    signed_inside += v;
    ++area;
  }
  inside = block_sum<kThreads>(inside);
  total = block_sum<kThreads>(total);
  signed_inside = block_sum<kThreads>(signed_inside);
  signed_total = block_sum<kThreads>(signed_total);
  area = block_sum<kThreads>(area);
  const float largest = block_max<kThreads>(most);
  int hits = 0, top = 0;
  for (int i = threadIdx.x; i < pixels; i += kThreads) {
    if (masks[map + i] == 0) continue;
    hits += maps[map + i] == largest;
    if (ranks) top += ranks[map + i] < area;
  }
  hits = block_sum<kThreads>(hits);
  top = block_sum<kThreads>(top);
  if (threadIdx.x != 0) return;
  MaskScores result{NAN, NAN, NAN, NAN, double(area) / pixels};
  if (area > 0 && total > 0) {
    result.hit = hits > 0;
    result.share = inside / total;
    result.mass = signed_inside / signed_total;
    result.top = ranks ? double(top) / area : 0;
  }
  scores[blockIdx.x] = result;
}

}  // namespace

void map_scores(const Gpu& gpu,
                int N,
                int pixels,
                float threshold,
                const float* maps,
                const std::int32_t* ranks,
                MapScores* scores) {
  launch(map_scores_kernel, dim3(N), kThreads, 0, gpu, pixels, threshold, maps, ranks, scores);
}

void mask_scores(const Gpu& gpu,
                 int N,
                 int pixels,
                 const float* maps,
                 const std::uint8_t* masks,
                 const std::int32_t* ranks,
                 MaskScores* scores) {
  launch(mask_scores_kernel, dim3(N), kThreads, 0, gpu, pixels, maps, masks, ranks, scores);
}

}  // namespace clx::kernels
