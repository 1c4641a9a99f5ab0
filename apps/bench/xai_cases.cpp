// Explaining and scoring: maps from activations, their similarity, order and scores, and flipped images.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "runtime/check.h"
#include "runtime/ops/cam.h"
#include "runtime/ops/flip.h"
#include "runtime/ops/map_scores.h"
#include "runtime/ops/principal_component.h"
#include "runtime/ops/rank.h"
#include "runtime/ops/relu.h"
#include "runtime/ops/ssim.h"

namespace clx::app {
namespace {

// Batches of explanations: the last activations of a ResNet and the maps of the images' size.
struct Sizes {
  std::int64_t N, side, C, size;
  std::int64_t positions() const { return side * side; }
  std::int64_t pixels() const { return size * size; }
};

std::vector<Sizes> sizes(bool tiny) {
  if (tiny) return {{2, 3, 8, 12}};
  return {{256, 4, 512, 32}, {64, 7, 2048, 224}};
}

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

Tensor activations(const Sizes& s, Device device) {
  return relu(random_tensor({s.N, s.side, s.side, s.C}, device, DType::f32, 1));
}

Tensor some_maps(const Sizes& s, Device device, std::uint64_t seed) {
  const Tensor raw = random_tensor({s.N, s.side, s.side}, device, DType::f32, seed);
  return finish_cam(raw, static_cast<int>(s.size), static_cast<int>(s.size)).maps;
}

Workload weighted_cam_of(const Sizes& s, Device device) {
  const Tensor x = activations(s, device), alpha = random_tensor({s.N, s.C}, device, DType::f32, 2);
  const int size = static_cast<int>(s.size);
  const auto run = [=] { return weighted_cam(x, alpha, size, size); };
  return {run, [=] {
            const CamMaps y = run();
            const std::vector<double> a = values(x), w = values(alpha), raw = values(y.raw),
                                      maps = values(y.maps);
            for (const std::int64_t i : some_of(y.raw.size())) {
              Sum sum;
              for (std::int64_t k = 0; k < s.C; ++k)
                sum.add(w[at(i / s.positions() * s.C + k)] * a[at(i * s.C + k)]);
              expect_close("raw", i, raw[at(i)], sum, DType::f32);
            }
            for (std::int64_t n = 0; n < s.N; ++n) {
              const auto first = maps.begin() + n * s.pixels();
              const auto [low, high] = std::minmax_element(first, first + s.pixels());
              const auto of_raw = raw.begin() + n * s.positions();
              const bool empty = *std::max_element(of_raw, of_raw + s.positions()) <= 0;
              CLX_CHECK(*low == 0 && std::abs(*high - (empty ? 0 : 1)) < 1e-6, "map ", n,
                        ": expected values within 0…1, got ", *low, "…", *high);
            }
          }};
}

// X·Xᵀ·y of sample 0, X its activations less each channel's mean.
std::vector<double> times_gram(const Sizes& s, const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> product(y.size());
  for (std::int64_t k = 0; k < s.C; ++k) {
    double mean = 0, dot = 0;
    for (std::int64_t p = 0; p < s.positions(); ++p)
      mean += x[at(p * s.C + k)] / static_cast<double>(s.positions());
    for (std::int64_t p = 0; p < s.positions(); ++p)
      dot += (x[at(p * s.C + k)] - mean) * y[at(p)];
    for (std::int64_t p = 0; p < s.positions(); ++p)
      product[at(p)] += (x[at(p * s.C + k)] - mean) * dot;
  }
  return product;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

Workload principal_component_of(const Sizes& s, Device device) {
  const Tensor x = activations(s, device);
  const auto run = [=] { return principal_component(x, ComponentSign::mean_correlated); };
  return {run, [=] {
            const Tensor component = run();
            const std::vector<double> a = values(x), y = values(component.slice(0, 1)),
                                      product = times_gram(s, a, y);
            const double eigenvalue = dot(y, product) / dot(y, y);
            for (std::int64_t p = 0; p < s.positions(); ++p)
              expect_close("component", p, product[at(p)],
                           {eigenvalue * y[at(p)], eigenvalue * std::sqrt(dot(y, y))}, DType::f32);
            std::vector<double> other(y.size(), 1.0);  // no vector has a larger quotient than the first one
            other[0] = 0;
            for (int i = 0; i < 50; ++i) {
              other = times_gram(s, a, other);
              const double length = std::sqrt(dot(other, other));
              for (double& v : other)
                v /= length;
            }
            const double quotient = dot(other, times_gram(s, a, other));
            CLX_CHECK(quotient <= eigenvalue * (1 + 1e-5),
                      "component: expected the largest eigenvalue, at least ", quotient, ", got ",
                      eigenvalue);
          }};
}

// One pair of maps (size,size), window by window.
double similarity(std::int64_t size, const double* a, const double* b) {
  constexpr double c1 = 1e-4, c2 = 9e-4, n = 49;
  double total = 0;
  for (std::int64_t i = 0; i + 7 <= size; ++i)
    for (std::int64_t j = 0; j + 7 <= size; ++j) {
      double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
      for (std::int64_t k = 0; k < 49; ++k) {
        const double x = a[(i + k / 7) * size + j + k % 7], y = b[(i + k / 7) * size + j + k % 7];
        sa += x, sb += y, saa += x * x, sbb += y * y, sab += x * y;
      }
      const double ua = sa / n, ub = sb / n, va = (saa - sa * ua) / (n - 1), vb = (sbb - sb * ub) / (n - 1),
                   vab = (sab - sa * ub) / (n - 1);
      total += (2 * ua * ub + c1) * (2 * vab + c2) / ((ua * ua + ub * ub + c1) * (va + vb + c2));
    }
  return total / static_cast<double>((size - 6) * (size - 6));
}

Workload ssim_of(const Sizes& s, Device device) {
  const Tensor a = some_maps(s, device, 1), b = some_maps(s, device, 2);
  const auto run = [=] { return structural_similarity(a, b); };
  return {run, [=] {
            const std::vector<double> y = values(run()), from_a = values(a), from_b = values(b);
            for (const std::int64_t n : {std::int64_t{0}, s.N - 1})
              expect_close(
                  "ssim", n, y[at(n)],
                  {similarity(s.size, &from_a[at(n * s.pixels())], &from_b[at(n * s.pixels())]), 0.1},
                  DType::f32);
          }};
}

Workload rank_of(const Sizes& s, Device device) {
  const Tensor maps = some_maps(s, device, 1);
  const auto run = [=] { return rank_maps(maps); };
  return {run, [=] {
            const std::vector<std::int32_t> ranks = run().to_host<std::int32_t>();
            const std::vector<double> map = values(maps);
            for (const std::int64_t n : {std::int64_t{0}, s.N - 1}) {
              std::vector<std::int64_t> order(at(s.pixels()), -1);
              for (std::int64_t p = 0; p < s.pixels(); ++p)
                order[at(ranks[at(n * s.pixels() + p)])] = n * s.pixels() + p;
              for (std::size_t r = 1; r < order.size(); ++r) {
                const double before = map[at(order[r - 1])], value = map[at(order[r])];
                CLX_CHECK(before > value || (before == value && order[r - 1] < order[r]), "rank ", r,
                          " of map ", n, ": expected a smaller value or a later pixel than before");
              }
            }
          }};
}

Workload scores_of(const Sizes& s, Device device) {
  const Tensor maps = some_maps(s, device, 1), ranks = rank_maps(maps, {.magnitude = true});
  const auto run = [=] { return map_scores(maps, ranks); };
  return {run, [=] {
            const std::vector<MapScores> scores = run();
            const std::vector<double> map = values(maps);
            for (const std::int64_t n : {std::int64_t{0}, s.N - 1}) {
              std::vector<double> v(map.begin() + n * s.pixels(), map.begin() + (n + 1) * s.pixels());
              const double total = std::accumulate(v.begin(), v.end(), 0.0),
                           largest = *std::ranges::max_element(v);
              Sum entropy, gini;
              std::ranges::sort(v);
              const auto count = static_cast<double>(v.size());
              for (std::size_t i = 0; i < v.size(); ++i) {
                const double p = v[i] / total;
                if (p > 0) entropy.add(-p * std::log(p));
                gini.add((2.0 * static_cast<double>(i + 1) - count - 1) * (v[i] / largest + 1e-7) /
                         (count * (total / largest + count * 1e-7)));
              }
              expect_close("entropy", n, scores[at(n)].entropy, entropy, DType::f32);
              expect_close("gini", n, scores[at(n)].gini, gini, DType::f32);
            }
          }};
}

// As many flipped images as there are maps: some steps of every fourth image.
Workload flip_of(const Sizes& s, Device device) {
  const std::int64_t images = std::max<std::int64_t>(1, s.N / 4), count = s.N;
  const Tensor x = random_tensor({images, s.size, s.size, 3}, device, DType::f32, 3),
               ranks = rank_maps(some_maps(s, device, 1).slice(0, images)),
               base = flip_baseline(x, FlipValue::least);
  const FlipSteps steps{0, 4, s.pixels() / 4};
  const auto run = [=] { return flip(x, ranks, base, steps, 0, count); };
  return {run, [=] {
            const std::vector<double> y = values(run()), from = values(x), baseline = values(base);
            const std::vector<std::int32_t> rank = ranks.to_host<std::int32_t>();
            const std::int64_t size = s.pixels() * 3;
            for (const std::int64_t i : some_of(count * size)) {
              const std::int64_t number = i / size, n = number / steps.states(), within = i % size;
              const bool gone =
                  rank[at(n * s.pixels() + within / 3)] < number % steps.states() * steps.per_step;
              const double expected = gone ? baseline[at(n * 3 + within % 3)] : from[at(n * size + within)];
              expect_close("flipped", i, y[at(i)], {expected, 0}, DType::f32);
            }
          }};
}

}  // namespace

std::vector<Case> xai_cases(Device device) {
  std::vector<Case> cases;
  for (const Sizes& s : sizes(device.kind == DeviceKind::emulated)) {
    const auto N = static_cast<double>(s.N), pixels = static_cast<double>(s.pixels()),
               positions = static_cast<double>(s.positions()), C = static_cast<double>(s.C),
               windows = static_cast<double>((s.size - 6) * (s.size - 6));
    const auto add = [&](const char* name, Bound bound, double flops, double bytes, const std::string& detail,
                         auto&& prepare) {
      cases.push_back({.name = fmt::format("{}/{}/N{}_{}_f32", name, concat(device), s.N, detail),
                       .bound = bound,
                       .flops = flops,
                       .bytes = bytes,
                       .images = N,
                       .prepare = [=] { return prepare(s, device); }});
    };
    const std::string layer = fmt::format("C{}_H{}", s.C, s.side), map = fmt::format("H{}", s.size);
    add("weighted_cam", Bound::memory, N * (2 * positions * C + 8 * pixels),
        N * 4 * (positions * C + C + positions + pixels), fmt::format("{}_to{}", layer, s.size),
        weighted_cam_of);
    // The products of the Gram matrix; the squares depend on the data.
    add("principal_component", Bound::arithmetic, N * positions * (positions + 1) * C,
        N * 4 * (positions * C + positions), layer, principal_component_of);
    // Five sums move down a column, seven of each are added, and the formula has 25 operations.
    add("ssim", Bound::memory, N * (26 * pixels + (35 + 25) * windows), N * 4 * 2 * pixels, map, ssim_of);
    add("rank_maps", Bound::memory, 0, N * 8 * pixels, map, rank_of);
    add("map_scores", Bound::memory, N * 25 * pixels, N * 8 * pixels, map, scores_of);
    const double images = std::max(1.0, std::floor(N / 4));
    add("flip", Bound::memory, 0, 4 * pixels * (3 * N + images * 4), map, flip_of);
  }
  return cases;
}

}  // namespace clx::app
