#include "kernels/triplet.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/triplet_distances.h"
#include "kernels/matmul.h"
#include "kernels/triplet_anchor.h"

namespace clx::kernels {
namespace {

constexpr int kTile = 64;     // samples of a tile's side
constexpr int kBlock = 64;    // negatives that are searched together
constexpr int kAnchors = 16;  // of a chunk
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Scratch memory of one thread.
struct RowScratch {
  std::uint64_t* keys;     // the positives: distance above, index below; sorted
  float* positive;         // their distances, then infinities up to a power of two
  std::int32_t* semihard;  // differences of the number of negatives from one positive to the next
};

RowScratch row_scratch(const Cpu& backend, int N) {
  const std::size_t n = std::bit_ceil(static_cast<std::size_t>(N) + 1);
  return {static_cast<std::uint64_t*>(backend.workspace(n * sizeof(std::uint64_t))),
          static_cast<float*>(backend.workspace(n * sizeof(float))),
          static_cast<std::int32_t*>(backend.workspace((n + 1) * sizeof(std::int32_t)))};
}

class Row {
 public:
  Row(const TripletShape& shape, const std::int32_t* labels, int anchor, float* distances)
      : s_(shape), labels_(labels), anchor_(anchor), row_(distances), own_(labels[anchor]) {}

  // The largest distance and the hardest pairs.
  TripletAnchor hardest() const {
    TripletAnchor a;
    int bad = 0;
    for (int j = 0; j < s_.N; ++j) {
      bad |= !(row_[j] < kInfinity);
      a.largest = std::max(a.largest, row_[j]);
    }
    a.finite = bad == 0;
    float farthest = -1, nearest = kInfinity;
    for (int j = 0; j < s_.N; ++j) {
      const float d = row_[j];
      a.ties += d == a.largest;
      const bool same = labels_[j] == own_;
      if (same && d > farthest && j != anchor_) {
        farthest = d;
        a.hardest_positive = j;
      }
      if (!same && d < nearest) {
        nearest = d;
        a.hardest_negative = j;
      }
    }
    if (a.hardest_positive >= 0) a.positive = farthest;
    if (a.hardest_negative >= 0) a.negative = nearest;
    return a;
  }

  // Finds the semi-hard triplets and puts C_ij/d_ij·|V| in the place of d_ij.
  void mine(const RowScratch& scratch, TripletAnchor* a) const {
    const int count = sort_positives(scratch.keys);
    const auto padded = static_cast<int>(std::bit_ceil(static_cast<unsigned>(count) + 1));
    for (int p = 0; p < padded; ++p)
      scratch.positive[p] = p < count ? distance_of(scratch.keys[p]) : kInfinity;
    std::fill_n(scratch.semihard, padded + 1, 0);

    double sums[kLanes] = {};
    for (int j = 0; j < s_.N; j += kBlock)
      a->count += mine_negatives(scratch, padded, j, std::min(kBlock, s_.N - j), sums);
    for (const double sum : sums)
      a->sum -= sum;
    row_[anchor_] = 0;
    std::int32_t negatives = 0;
    for (int p = 0; p < count; ++p) {
      negatives += scratch.semihard[p];
      const float d = scratch.positive[p];
      a->sum += static_cast<double>(negatives) * static_cast<double>(d);
      row_[index_of(scratch.keys[p])] = static_cast<float>(negatives) * inverse_distance(d);
    }
    a->sum += static_cast<double>(a->count) * static_cast<double>(s_.margin);
  }

 private:
  static constexpr int kLanes = 16;

  static float distance_of(std::uint64_t key) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(key >> 32));
  }
  static int index_of(std::uint64_t key) { return static_cast<int>(key & 0xffffffffu); }

  int sort_positives(std::uint64_t* keys) const {
    int count = 0;
    for (int j = 0; j < s_.N; ++j) {
      keys[count] =
          std::uint64_t(std::bit_cast<std::uint32_t>(row_[j])) << 32 | static_cast<std::uint32_t>(j);
      count += labels_[j] == own_ && j != anchor_;
    }
    std::sort(keys, keys + count);
    return count;
  }

  // For n negatives from j on: positives that are nearer, less those that are nearer by the margin. Returns
  // the number of triplets; adds Σ count·d to `sums`.
  std::int64_t mine_negatives(
      const RowScratch& scratch, int padded, int j, int n, double (&sums)[kLanes]) const {
    const float* __restrict positive = scratch.positive;
    float d[kBlock] = {};
    std::int32_t from[kBlock] = {}, to[kBlock] = {}, triplets[kBlock] = {};
    std::memcpy(d, row_ + j, sizeof(float) * static_cast<std::size_t>(n));
    for (int half = padded / 2; half > 0; half /= 2)
      for (int t = 0; t < kBlock; ++t) {
        const float p = positive[to[t] + half - 1], q = positive[from[t] + half - 1];
        to[t] += p < d[t] ? half : 0;
        from[t] += (q - d[t]) + s_.margin > 0 ? 0 : half;
      }
    for (int t = 0; t < n; ++t)
      triplets[t] = labels_[j + t] == own_ ? 0 : std::max(0, to[t] - from[t]);
    std::int64_t total = 0;
    for (int t = 0; t < kBlock; t += kLanes)
      for (int lane = 0; lane < kLanes; ++lane) {
        const std::int32_t c = triplets[t + lane];
        total += c;
        sums[lane] += static_cast<double>(c) * static_cast<double>(d[t + lane]);
      }
    for (int t = 0; t < n; ++t)
      row_[j + t] = triplets[t] > 0 ? static_cast<float>(-triplets[t]) / d[t] : 0;
    for (int t = 0; t < n; ++t) {
      const std::int32_t on = triplets[t] > 0;
      scratch.semihard[from[t]] += on;
      scratch.semihard[to[t]] -= on;
    }
    return total;
  }

  const TripletShape& s_;
  const std::int32_t* labels_;
  int anchor_;
  float* row_;
  std::int32_t own_;
};

TripletTotals total_of(const TripletShape& s, const TripletAnchor* anchors) {
  TripletTotals t;
  for (int i = 0; i < s.N; ++i) {
    const TripletAnchor& a = anchors[i];
    t.semi_sum += a.sum;
    t.semi_count += a.count;
    t.valid += a.hardest_positive >= 0;
    t.largest = std::max(t.largest, a.largest);
    t.finite = t.finite && a.finite;
  }
  for (int i = 0; i < s.N; ++i) {
    const float term = hard_term(anchors[i], t.largest, s.margin);
    t.hard_sum += static_cast<double>(term);
    t.pulling += term > 0;
    t.ties += anchors[i].largest == t.largest ? anchors[i].ties : 0;
  }
  return t;
}

// From C_ij/d_ij, or the distances, to −scale·(C_ij + C_ji)/d_ij.
void symmetrize(const TripletShape& s,
                const TripletAnchor* anchors,
                const TripletDecision& decision,
                float* matrix) {
  const std::int64_t N = s.N, tiles = (N + kTile - 1) / kTile;
  parallel_for(tiles * tiles, [&](std::int64_t tile) {
    const std::int64_t i0 = tile / tiles * kTile, j0 = tile % tiles * kTile;
    if (j0 < i0) return;
    const std::int64_t i1 = std::min(N, i0 + kTile), j1 = std::min(N, j0 + kTile);
    for (std::int64_t i = i0; i < i1; ++i)
      for (std::int64_t j = std::max(i, j0); j < j1; ++j) {
        float &above = matrix[i * N + j], &below = matrix[j * N + i];
        const float weight = decision.hard ? hard_weight(anchors[i], anchors[j], static_cast<int>(i),
                                                         static_cast<int>(j), above, decision, s.margin)
                                           : above + below;
        above = below = i == j ? 0.0f : -decision.scale * weight;
      }
  });
}

void fill_diagonal(int N, float* matrix) {
  parallel_ranges(N, kAnchors, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      constexpr int kLanes = 16;
      const float* row = matrix + i * N;
      double sums[kLanes] = {}, sum = 0;
      int j = 0;
      for (; j + kLanes <= N; j += kLanes)
        for (int lane = 0; lane < kLanes; ++lane)
          sums[lane] += static_cast<double>(row[j + lane]);
      for (; j < N; ++j)
        sum += static_cast<double>(row[j]);
      for (const double part : sums)
        sum += part;
      matrix[i * N + i] = static_cast<float>(-sum);
    }
  });
}

}  // namespace

void triplet_forward(const Cpu& backend,
                     const TripletShape& s,
                     const float* x,
                     const std::int32_t* labels,
                     float* laplacian,
                     float* loss,
                     std::int64_t* active) {
  triplet_distances(backend, s.N, s.D, x, laplacian);
  auto* anchors = static_cast<TripletAnchor*>(backend.workspace(sizeof(TripletAnchor) * s.N));
  const bool one_class = std::all_of(labels, labels + s.N, [&](std::int32_t y) { return y == labels[0]; });
  const bool mining = !s.hard && !one_class;
  const int team = mining ? team_size() : 0;
  auto* scratch = static_cast<RowScratch*>(backend.workspace(sizeof(RowScratch) * (team + 1)));
  for (int t = 0; t < team; ++t)
    scratch[t] = row_scratch(backend, s.N);
  parallel_ranges(s.N, kAnchors, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Row row(s, labels, static_cast<int>(i), laplacian + i * s.N);
      anchors[i] = row.hardest();
      if (mining) row.mine(scratch[team_slot()], &anchors[i]);
    }
  });
  const TripletDecision decision = decide_triplet(total_of(s, anchors), s.hard, one_class, loss, active);
  symmetrize(s, anchors, decision, laplacian);
  fill_diagonal(s.N, laplacian);
}

void triplet_backward(const Cpu& backend,
                      const TripletShape& s,
                      const float* x,
                      const float* laplacian,
                      const float* dloss,
                      float* dx) {
  const std::int64_t size = std::int64_t(s.N) * s.D;
  auto* shifted = static_cast<float*>(backend.workspace(sizeof(float) * size));
  parallel_ranges(s.N, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (int d = 0; d < s.D; ++d)
        shifted[i * s.D + d] = x[i * s.D + d] - x[d];
  });
  matmul(backend, {s.N, s.D, s.N}, Math::f32, {laplacian, DType::f32}, {shifted, DType::f32}, nullptr, dx);
  parallel_ranges(size, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k)
      dx[k] *= *dloss;
  });
}

}  // namespace clx::kernels
