// What: the triplet loss of N samples: distances d_ij = ‖x_i − x_j‖; for each anchor the semi-hard triplets
// and
//   the hardest pair; the decision which of them make the loss; the weights (C_ij + C_ji)/d_ij as a graph
//   laplacian; dx = dloss·laplacian·(x − x_0).
// Who: distances: a block per 64×64 tile, 4×4 per thread. Anchors: a block per anchor sorts its positives
// (bitonic);
//   every thread then finds for its negatives, by bisection, the run of positives that are nearer by less
//   than the margin, and notes its two ends; the running sum of the ends is each positive's count. Decision:
//   one block adds the anchors. Weights: a block per pair of mirrored 32×32 tiles; a warp per row for the
//   diagonal.
// Where: the laplacian's memory holds distances, then C_ij/d_ij, then the laplacian. Positives in shared
// memory
//   (12 KiB for up to 1023), in the workspace beyond.
// Limit: distances: f32 arithmetic, 2·N²·D; anchors: latency of the sort's barriers, log²(positives) of them.
#include "kernels/triplet.h"

#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/tile_f32.cuh"
#include "kernels/matmul.h"
#include "kernels/triplet_anchor.h"

namespace clx::kernels {
namespace {

using Key = unsigned long long;

constexpr int kThreads = 128, kTile = 64, kShared = 1024, kSquare = 32, kSquareRows = 8;
constexpr Key kLast = ~Key(0);

/// A distance and whose it is; keys compare like (distance, index).
__device__ __forceinline__ Key key_of(float distance, int index) {
  return Key(__float_as_uint(distance)) << 32 | static_cast<unsigned>(index);
}
__device__ __forceinline__ float distance_of(Key key) {
  return __uint_as_float(static_cast<unsigned>(key >> 32));
}
__device__ __forceinline__ int index_of(Key key) {
  return static_cast<int>(key & 0xffffffffu);
}

__global__ void __launch_bounds__(kTileThreads)
    distance_kernel(const MatrixOperand<float, true> x, int N, int D, int tiles, float* distances) {
  CLX_SHARED(float, a_tile, [kTileK][kTile + 4]);  // (feature, i)
  CLX_SHARED(float, b_tile, [kTileK][kTile + 4]);  // (feature, j)
  const int i0 = blockIdx.x / tiles * kTile, j0 = blockIdx.x % tiles * kTile;
  const int ti = threadIdx.x / 16 * 4, tj = threadIdx.x % 16 * 4;
  float sum[4][4] = {};
  TileFetcher<MatrixOperand<float, true>, 4> fetch_a(x, i0), fetch_b(x, j0);
  for (int d0 = 0; d0 < D; d0 += kTileK) {
    fetch_a.fetch(d0);
    fetch_b.fetch(d0);
    fetch_a.store(a_tile);
    fetch_b.store(b_tile);
    __syncthreads();  // both tiles are written
    float part[4][4] = {};
#pragma unroll
    for (int d = 0; d < kTileK; ++d) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float difference = a_tile[d][ti + i] - b_tile[d][tj + j];
          part[i][j] += difference * difference;
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        sum[i][j] += part[i][j];
    }
    __syncthreads();  // both tiles are used up: the next ones may be written
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (i0 + ti + i < N && j0 + tj + j < N)
        distances[std::int64_t(i0 + ti + i) * N + j0 + tj + j] = sqrtf(sum[i][j]);
  }
}

/// The largest / the least value of a block's threads, in every thread.
template <bool kLargest, class T>
__device__ T block_extreme(T value) {
  CLX_SHARED(T, part, [kThreads / 32]);
  const auto better = [](T a, T b) { return (a > b) == kLargest ? a : b; };
  for (int offset = 16; offset > 0; offset /= 2)
    value = better(value, __shfl_xor_sync(kAllLanes, value, offset));
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = value;
  __syncthreads();  // every warp's part is written
  value = part[0];
  for (int warp = 1; warp < kThreads / 32; ++warp)
    value = better(value, part[warp]);
  __syncthreads();  // all parts are read: the next call may write them
  return value;
}

/// Sorts `padded` keys, a power of two, bitonically. All threads of the block; ends with a barrier.
__device__ void sort_keys(Key* keys, int padded) {
  for (int run = 2; run <= padded; run *= 2) {
    for (int apart = run / 2; apart > 0; apart /= 2) {
      for (int pair = threadIdx.x; pair < padded / 2; pair += kThreads) {
        const int low = pair / apart * 2 * apart + pair % apart, high = low + apart;
        const Key a = keys[low], b = keys[high];
        if ((a > b) == ((low & run) == 0)) {
          keys[low] = b;
          keys[high] = a;
        }
      }
      // Up to 32 apart, the 32 pairs of a warp are the same 64 keys at every distance.
      const int next = apart > 1 ? apart / 2 : run;
      if (apart > 32 || next > 32)
        __syncthreads();  // the exchanges of this distance are done
      else
        __syncwarp();  // this warp's are
    }
  }
  __syncthreads();  // all keys are in place
}

/// values[i] ← Σ_{k ≤ i} values[k]. One warp.
__device__ void running_sum(std::int32_t* values, int count) {
  const int lane = threadIdx.x % 32;
  std::int32_t before = 0;
  for (int first = 0; first < count; first += 32) {
    std::int32_t value = first + lane < count ? values[first + lane] : 0;
    for (int offset = 1; offset < 32; offset *= 2) {
      const std::int32_t other = __shfl_up_sync(kAllLanes, value, offset);
      if (lane >= offset) value += other;
    }
    value += before;
    if (first + lane < count) values[first + lane] = value;
    before = __shfl_sync(kAllLanes, value, 31);
  }
}

struct Anchors {
  int N;
  float margin;
  bool hard;
  const std::int32_t* labels;
  float* matrix;          // distances; C_ij/d_ij·|V| in the end, but where no semi-hard triplets are sought
  TripletAnchor* anchor;  // (N)
  Key* keys;              // room for N keys and ends per block, where shared memory has none; may be null
  std::int32_t* ends;
  int room;
};

/// Fills in what the row says without a sort; returns the number of positives.
__device__ int find_hardest(const Anchors& a, int i, const float* row, TripletAnchor* found) {
  const std::int32_t own = a.labels[i];
  int positives = 0, bad = 0;
  Key farthest = 0, nearest = kLast;
  float largest = 0;
  for (int j = threadIdx.x; j < a.N; j += kThreads) {
    const float d = row[j];
    bad |= !(d < INFINITY);
    largest = fmaxf(largest, d);
    const bool same = a.labels[j] == own;
    positives += same && j != i;
    // of equal distances the first wins: its index counts downwards
    const Key far = key_of(d, ~j), near = key_of(d, j);
    if (same && j != i && far > farthest) farthest = far;
    if (!same && near < nearest) nearest = near;
  }
  positives = block_sum<kThreads>(positives);
  bad = block_sum<kThreads>(bad);
  largest = block_extreme<true>(largest);
  farthest = block_extreme<true>(farthest);
  nearest = block_extreme<false>(nearest);
  int ties = 0;
  for (int j = threadIdx.x; j < a.N; j += kThreads)
    ties += row[j] == largest;
  found->ties = block_sum<kThreads>(ties);
  found->finite = bad == 0;
  found->largest = largest;
  if (positives > 0) {
    found->positive = distance_of(farthest);
    found->hardest_positive = ~index_of(farthest);
  }
  if (nearest != kLast) {
    found->negative = distance_of(nearest);
    found->hardest_negative = index_of(nearest);
  }
  return positives;
}

/// The number of positives among the first `padded` − 1 for which `nearer` holds, which it does up to some
/// point.
template <class F>
__device__ __forceinline__ int count_while(const Key* keys, int padded, F nearer) {
  int count = 0;
  for (int half = padded / 2; half > 0; half /= 2)
    if (nearer(distance_of(keys[count + half - 1]))) count += half;
  return count;
}

/// Finds the semi-hard triplets of anchor i and puts C_ij/d_ij·|V| in the place of d_ij.
__device__ void mine(const Anchors& a,
                     int i,
                     float* row,
                     int positives,
                     int padded,
                     Key* keys,
                     std::int32_t* ends,
                     std::int32_t* next,
                     TripletAnchor* found) {
  const std::int32_t own = a.labels[i];
  if (threadIdx.x == 0) *next = 0;
  for (int p = threadIdx.x; p <= padded; p += kThreads) {
    ends[p] = 0;
    if (p >= positives && p < padded) keys[p] = key_of(INFINITY, 0);
  }
  __syncthreads();  // the counter is 0
  for (int j = threadIdx.x; j < a.N; j += kThreads)
    if (a.labels[j] == own && j != i) keys[atomicAdd(next, 1)] = key_of(row[j], j);
  __syncthreads();  // all positives are there, in any order
  sort_keys(keys, padded);

  double sum = 0;
  std::int64_t count = 0;
  for (int j = threadIdx.x; j < a.N; j += kThreads) {
    if (a.labels[j] == own) continue;
    const float d = row[j], margin = a.margin;
    const int to = count_while(keys, padded, [=](float p) { return p < d; });
    const int from = count_while(keys, padded, [=](float p) { return !((p - d) + margin > 0); });
    const int triplets = to > from ? to - from : 0;
    if (triplets > 0) {
      atomicAdd(&ends[from], 1);
      atomicAdd(&ends[to], -1);
    }
    count += triplets;
    sum -= static_cast<double>(triplets) * static_cast<double>(d);
    row[j] = triplets > 0 ? static_cast<float>(-triplets) / d : 0;
  }
  __syncthreads();  // all ends are noted
  if (threadIdx.x < 32) running_sum(ends, positives);
  __syncthreads();  // the counts of the positives are written
  for (int p = threadIdx.x; p < positives; p += kThreads) {
    const float d = distance_of(keys[p]);
    sum += static_cast<double>(ends[p]) * static_cast<double>(d);
    row[index_of(keys[p])] = static_cast<float>(ends[p]) * inverse_distance(d);
  }
  if (threadIdx.x == 0) row[i] = 0;
  found->count = block_sum<kThreads>(count);
  found->sum = block_sum<kThreads>(sum) + static_cast<double>(found->count) * static_cast<double>(a.margin);
}

__global__ void __launch_bounds__(kThreads, 4) anchor_kernel(const Anchors a) {
  CLX_SHARED(Key, shared_keys, [kShared]);
  CLX_SHARED(std::int32_t, shared_ends, [kShared + 1]);
  CLX_SHARED(std::int32_t, next, [1]);
  for (int i = blockIdx.x; i < a.N; i += gridDim.x) {
    float* row = a.matrix + std::int64_t(i) * a.N;
    TripletAnchor found;
    const int positives = find_hardest(a, i, row, &found);
    int padded = 1;
    while (padded <= positives)
      padded *= 2;
    const bool shared = padded <= kShared;
    const std::int64_t own_room = std::int64_t(blockIdx.x) * a.room;
    if (!a.hard && positives < a.N - 1)
      mine(a, i, row, positives, padded, shared ? &shared_keys[0] : a.keys + own_room,
           shared ? &shared_ends[0] : a.ends + own_room + blockIdx.x, &next[0], &found);
    if (threadIdx.x == 0) a.anchor[i] = found;
    __syncthreads();  // the keys are used up: the next anchor may write them
  }
}

/// One block: from what the anchors found to the loss.
__global__ void __launch_bounds__(kThreads) decide_kernel(int N,
                                                          float margin,
                                                          bool hard,
                                                          const TripletAnchor* anchor,
                                                          TripletDecision* decision,
                                                          float* loss,
                                                          std::int64_t* active) {
  TripletTotals t;
  int bad = 0;
  for (int i = threadIdx.x; i < N; i += kThreads) {
    const TripletAnchor& a = anchor[i];
    t.semi_sum += a.sum;
    t.semi_count += a.count;
    t.valid += a.hardest_positive >= 0;
    t.largest = fmaxf(t.largest, a.largest);
    bad |= !a.finite;
  }
  t.semi_sum = block_sum<kThreads>(t.semi_sum);
  t.semi_count = block_sum<kThreads>(t.semi_count);
  t.valid = block_sum<kThreads>(t.valid);
  t.largest = block_extreme<true>(t.largest);
  t.finite = block_sum<kThreads>(bad) == 0;
  for (int i = threadIdx.x; i < N; i += kThreads) {
    const float term = hard_term(anchor[i], t.largest, margin);
    t.hard_sum += static_cast<double>(term);
    t.pulling += term > 0;
    t.ties += anchor[i].largest == t.largest ? anchor[i].ties : 0;
  }
  t.hard_sum = block_sum<kThreads>(t.hard_sum);
  t.pulling = block_sum<kThreads>(t.pulling);
  t.ties = block_sum<kThreads>(t.ties);
  if (threadIdx.x == 0) *decision = decide_triplet(t, hard, anchor[0].hardest_negative < 0, loss, active);
}

/// From C_ij/d_ij, or the distances, to −scale·(C_ij + C_ji)/d_ij. Blocks of (32,8) threads.
__global__ void __launch_bounds__(kSquare* kSquareRows) symmetrize_kernel(int N,
                                                                          float margin,
                                                                          int tiles,
                                                                          const TripletAnchor* anchor,
                                                                          const TripletDecision* decision,
                                                                          float* matrix) {
  CLX_SHARED(float, above, [kSquare][kSquare + 1]);  // (i, j)
  CLX_SHARED(float, below, [kSquare][kSquare + 1]);  // (j, i)
  const int i0 = blockIdx.x / tiles * kSquare, j0 = blockIdx.x % tiles * kSquare;
  if (j0 < i0) return;  // the whole block: its mirror image does both
  const TripletDecision d = *decision;
  const int x = threadIdx.x;
  for (int y = threadIdx.y; y < kSquare; y += kSquareRows) {
    if (i0 + y < N && j0 + x < N) above[y][x] = matrix[std::int64_t(i0 + y) * N + j0 + x];
    if (j0 + y < N && i0 + x < N) below[y][x] = matrix[std::int64_t(j0 + y) * N + i0 + x];
  }
  __syncthreads();  // both tiles are read
  const auto entry = [&](int i, int j, float one, float other) {
    if (i == j) return 0.0f;
    return -d.scale * (d.hard ? hard_weight(anchor[i], anchor[j], i, j, one, d, margin) : one + other);
  };
  for (int y = threadIdx.y; y < kSquare; y += kSquareRows) {
    if (i0 + y < N && j0 + x < N)
      matrix[std::int64_t(i0 + y) * N + j0 + x] = entry(i0 + y, j0 + x, above[y][x], below[x][y]);
    if (i0 != j0 && j0 + y < N && i0 + x < N)
      matrix[std::int64_t(j0 + y) * N + i0 + x] = entry(i0 + x, j0 + y, above[x][y], below[y][x]);
  }
}

__global__ void __launch_bounds__(kThreads) diagonal_kernel(int N, float* matrix) {
  const int i = static_cast<int>(blockIdx.x) * (kThreads / 32) + static_cast<int>(threadIdx.x) / 32;
  if (i >= N) return;  // the whole warp
  float* row = matrix + std::int64_t(i) * N;
  double sum = 0;
  for (int j = threadIdx.x % 32; j < N; j += 32)
    sum += static_cast<double>(row[j]);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) row[i] = static_cast<float>(-sum);
}

__global__ void __launch_bounds__(kThreads)
    shift_kernel(std::int64_t size, int D, const float* x, float* shifted) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < size) shifted[k] = x[k] - x[k % D];
}

__global__ void __launch_bounds__(kThreads) scale_kernel(std::int64_t size, const float* scale, float* x) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < size) x[k] *= *scale;
}

}  // namespace

void triplet_forward(const Gpu& gpu,
                     const TripletShape& s,
                     const float* x,
                     const std::int32_t* labels,
                     float* laplacian,
                     float* loss,
                     std::int64_t* active) {
  const auto tiles = static_cast<int>(ceil_div(s.N, kTile)),
             squares = static_cast<int>(ceil_div(s.N, kSquare));
  launch(distance_kernel, dim3(tiles * tiles), kTileThreads, 0, gpu, MatrixOperand<float, true>{x, s.N, s.D},
         s.N, s.D, tiles, laplacian);
  Anchors a{s.N, s.margin, s.hard, labels, laplacian, nullptr, nullptr, nullptr, 0};
  a.anchor = static_cast<TripletAnchor*>(gpu.workspace(sizeof(TripletAnchor) * s.N));
  int blocks = s.N;
  if (!s.hard && s.N > kShared) {
    blocks = 4 * multiprocessors(gpu);
    a.room = static_cast<int>(std::bit_ceil(static_cast<unsigned>(s.N)));
    a.keys = static_cast<Key*>(gpu.workspace(sizeof(Key) * blocks * a.room));
    a.ends = static_cast<std::int32_t*>(gpu.workspace(sizeof(std::int32_t) * blocks * (a.room + 1)));
  }
  launch(anchor_kernel, dim3(blocks), kThreads, 0, gpu, a);
  auto* decision = static_cast<TripletDecision*>(gpu.workspace(sizeof(TripletDecision)));
  launch(decide_kernel, dim3(1), kThreads, 0, gpu, s.N, s.margin, s.hard, a.anchor, decision, loss, active);
  launch(symmetrize_kernel, dim3(squares * squares), dim3(kSquare, kSquareRows), 0, gpu, s.N, s.margin,
         squares, a.anchor, decision, laplacian);
  launch(diagonal_kernel, dim3(ceil_div(s.N, kThreads / 32)), kThreads, 0, gpu, s.N, laplacian);
}

void triplet_backward(const Gpu& gpu,
                      const TripletShape& s,
                      const float* x,
                      const float* laplacian,
                      const float* dloss,
                      float* dx) {
  const std::int64_t size = std::int64_t(s.N) * s.D;
  auto* shifted = static_cast<float*>(gpu.workspace(sizeof(float) * size));
  launch(shift_kernel, dim3(ceil_div(size, kThreads)), kThreads, 0, gpu, size, s.D, x, shifted);
  matmul(gpu, {s.N, s.D, s.N}, Math::f32, {laplacian, DType::f32}, {shifted, DType::f32}, nullptr, dx);
  launch(scale_kernel, dim3(ceil_div(size, kThreads)), kThreads, 0, gpu, size, dloss, dx);
}

}  // namespace clx::kernels
