// What: with S = z·zᵀ/temperature, per row the log Σ exp and the mean over its positives, and the gradient
//   dz = scale·W·z, W_ij = π_ij + π_ji − [same label]·(pull_i + pull_j), without ever storing S or W.
// Who: a block per 64 rows and per run of columns, in tiles of 64 columns: it multiplies a tile of S (4×4
//   results per thread), then four threads per row bring each row's maximum and sum up to date (forward), or
//   the tile of W is multiplied by the columns' rows of z (backward; 4×8 results per thread, in registers
//   over the whole run, 128 columns of dz per block). The runs' results are combined in their order.
// Where: two tiles of 16×68 floats for S, a tile of 64×65 or 64×68, one of 16×132: 26 and 34 KiB of shared
//   memory. Per run (of a number that only has to fill the machine) 24 bytes per row in the workspace in the
//   forward, a copy of dz in the backward.
// Limit: f32 multiply-adds: 2·N²·D in the forward, 4·N²·D in the backward.
#include "kernels/supcon.h"

#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/sum_runs.cuh"
#include "kernels/cuda/tile_f32.cuh"
#include "kernels/cuda/tile_operand.cuh"

namespace clx::kernels {
namespace {

constexpr int kTile = 64;          // rows and columns of a tile of S
constexpr int kDims = 128;         // columns of dz of a block
constexpr int kThreadsPerRow = 4;  // of the sums over a tile's rows
constexpr int kSumThreads = 256;
constexpr float kLog2e = 1.44269504088896341f;
constexpr double kLn2 = 0.693147180559945309;
static_assert(kTile * kThreadsPerRow == kTileThreads);

using Rows = MatrixOperand<float, true>;

/// What a row of S amounts to over the columns seen so far, in units of log₂.
struct RowSum {
  double sum = 0;        // Σ_j 2^(s_j − max)
  double positives = 0;  // Σ s_j over the positives
  float max = -INFINITY;
  std::int32_t count = 0;  // of the positives
};

__device__ __forceinline__ void merge(RowSum& a, const RowSum& b) {
  const float max = fmaxf(a.max, b.max);
  if (max != -INFINITY)
    a.sum = a.sum * static_cast<double>(exp2f(a.max - max)) + b.sum * static_cast<double>(exp2f(b.max - max));
  a.max = max;
  a.positives += b.positives;
  a.count += b.count;
}

/// Puts a tile of products, scaled, where the whole block reads it: (row, column).
struct StoreTile {
  float (*tile)[kTile + 1];
  int m0, n0;
  float scale;
  __device__ __forceinline__ void pair(int m, int n, float v0, float v1) const {
    tile[m - m0][n - n0] = v0 * scale;
    tile[m - m0][n - n0 + 1] = v1 * scale;
  }
};

__global__ void __launch_bounds__(kTileThreads) supcon_sums_kernel(
    SupconShape s, const float* z, const std::int32_t* labels, float scale, int tiles_per_run, RowSum* sums) {
  CLX_SHARED(float, tile, [kTile][kTile + 1]);  // (row, column)
  const Rows rows{z, s.N, s.D};
  const int m0 = blockIdx.x * kTile, row = threadIdx.x / kThreadsPerRow, part = threadIdx.x % kThreadsPerRow;
  const int i = m0 + row;
  const std::int32_t label = i < s.N ? labels[i] : 0;
  RowSum total;
  const int begin = blockIdx.y * tiles_per_run * kTile;
  const int end = begin + tiles_per_run * kTile;
  for (int n0 = begin; n0 < end && n0 < s.N; n0 += kTile) {
    multiply_tile_f32<kTile / 16>(rows, rows, m0, n0, 0, s.D, StoreTile{tile, m0, n0, scale});
    __syncthreads();  // the tile is written
    float max = -INFINITY, sum = 0, positives = 0;
    std::int32_t count = 0;
    for (int column = part; column < kTile; column += kThreadsPerRow)
      if (n0 + column < s.N && n0 + column != i) max = fmaxf(max, tile[row][column]);
    for (int column = part; column < kTile; column += kThreadsPerRow) {
      const int j = n0 + column;
      if (j >= s.N || j == i) continue;
      const float x = tile[row][column];
      sum += exp2f(x - max);
      if (labels[j] == label) {
        positives += x;
        ++count;
      }
    }
    merge(total, {sum, positives, max, count});
    __syncthreads();  // the tile is used up: the next one may be written
  }
#pragma unroll
  for (int offset = kThreadsPerRow / 2; offset > 0; offset /= 2) {
    const RowSum other{
        __shfl_xor_sync(kAllLanes, total.sum, offset), __shfl_xor_sync(kAllLanes, total.positives, offset),
        __shfl_xor_sync(kAllLanes, total.max, offset), __shfl_xor_sync(kAllLanes, total.count, offset)};
    merge(total, other);
  }
  if (part == 0 && i < s.N) sums[std::int64_t(blockIdx.y) * s.N + i] = total;
}

__global__ void __launch_bounds__(kSumThreads) supcon_anchors_kernel(
    int N, int runs, const RowSum* sums, float* log_sum, float* pull, float* anchor_loss) {
  const int i = blockIdx.x * kSumThreads + threadIdx.x;
  if (i >= N) return;
  RowSum total;
  for (int run = 0; run < runs; ++run)
    merge(total, sums[std::int64_t(run) * N + i]);
  const bool counts = total.count > 0;
  const double log = static_cast<double>(total.max) + log2(total.sum), share = 1. / total.count;
  log_sum[i] = counts ? static_cast<float>(log) : INFINITY;
  pull[i] = counts ? static_cast<float>(share) : 0.f;
  anchor_loss[i] = counts ? static_cast<float>((log - total.positives * share) * kLn2) : 0.f;
}

/// One block: loss = Σ anchor_loss/N.
__global__ void __launch_bounds__(kSumThreads)
    supcon_mean_kernel(int N, const float* anchor_loss, float* loss) {
  float sum = 0;
  for (int i = threadIdx.x; i < N; i += kSumThreads)
    sum += anchor_loss[i];
  sum = block_sum<kSumThreads>(sum);
  if (threadIdx.x == 0) *loss = sum / static_cast<float>(N);
}

/// Turns a tile of products into one of W: (column, row), so that a thread reads four rows at once.
struct StoreWeights {
  float (*tile)[kTile + 4];
  int m0, n0, N;
  const std::int32_t* labels;
  const float *log_sum, *pull;
  float scale;

  __device__ __forceinline__ float weight(int i, int j, float product) const {
    if (i >= N || j >= N || i == j) return 0.f;
    const float x = product * scale;
    const float pushed = exp2f(x - log_sum[i]) + exp2f(x - log_sum[j]);
    return labels[i] == labels[j] ? pushed - (pull[i] + pull[j]) : pushed;
  }
  __device__ __forceinline__ void pair(int m, int n, float v0, float v1) const {
    tile[n - n0][m - m0] = weight(m, n, v0);
    tile[n - n0 + 1][m - m0] = weight(m, n + 1, v1);
  }
};

__global__ void __launch_bounds__(kTileThreads) supcon_backward_kernel(SupconShape s,
                                                                       const float* z,
                                                                       const std::int32_t* labels,
                                                                       float temperature,
                                                                       float scale,
                                                                       int tiles_per_run,
                                                                       const float* log_sum,
                                                                       const float* pull,
                                                                       const float* dloss,
                                                                       float* dz) {
  constexpr int R = 4, C = 8;                      // results per thread
  CLX_SHARED(float, weights, [kTile][kTile + 4]);  // (column, row)
  CLX_SHARED(float, z_tile, [kTileK][kDims + 4]);  // (column, d)
  const Rows rows{z, s.N, s.D};
  const int m0 = blockIdx.x * kTile, d0 = blockIdx.z * kDims;
  const int tm = threadIdx.x / 16, td = threadIdx.x % 16;
  float sum[R][C] = {};
  const int begin = blockIdx.y * tiles_per_run * kTile;
  const int end = begin + tiles_per_run * kTile;
  for (int n0 = begin; n0 < end && n0 < s.N; n0 += kTile) {
    multiply_tile_f32<kTile / 16>(rows, rows, m0, n0, 0, s.D,
                                  StoreWeights{weights, m0, n0, s.N, labels, log_sum, pull, scale});
    for (int k0 = 0; k0 < kTile; k0 += kTileK) {
      for (int at = threadIdx.x; at < kTileK * kDims; at += kTileThreads) {
        const int k = at / kDims, d = at % kDims, j = n0 + k0 + k;
        z_tile[k][d] = j < s.N && d0 + d < s.D ? z[std::int64_t(j) * s.D + d0 + d] : 0.f;
      }
      __syncthreads();  // the weights and the rows of z are written
#pragma unroll
      for (int k = 0; k < kTileK; ++k) {
        float w[R], x[C];
#pragma unroll
        for (int r = 0; r < R; ++r)
          w[r] = weights[k0 + k][tm * R + r];
#pragma unroll
        for (int c = 0; c < C; ++c)
          x[c] = z_tile[k][c * 16 + td];
#pragma unroll
        for (int r = 0; r < R; ++r) {
#pragma unroll
          for (int c = 0; c < C; ++c)
            sum[r][c] += w[r] * x[c];
        }
      }
      __syncthreads();  // the rows of z, and after the last of them the weights, are used up
    }
  }
  dz += std::int64_t(blockIdx.y) * s.N * s.D;
  const float factor = *dloss / (static_cast<float>(s.N) * temperature);
#pragma unroll
  for (int r = 0; r < R; ++r) {
#pragma unroll
    for (int c = 0; c < C; ++c) {
      const int i = m0 + tm * R + r, d = d0 + c * 16 + td;
      if (i < s.N && d < s.D) dz[std::int64_t(i) * s.D + d] = sum[r][c] * factor;
    }
  }
}

/// How the tiles of a row of S are cut into runs: as many as fill the machine, in equal parts.
struct Runs {
  int tiles, tiles_per_run, runs;
  Runs(const Gpu& gpu, int N)
      : tiles(static_cast<int>(ceil_div(N, kTile))),
        tiles_per_run(static_cast<int>(ceil_div(tiles, ceil_div(2 * multiprocessors(gpu), tiles)))),
        runs(static_cast<int>(ceil_div(tiles, tiles_per_run))) {}
};

}  // namespace

void supcon_forward(const Gpu& gpu,
                    SupconShape s,
                    const float* z,
                    const std::int32_t* labels,
                    float temperature,
                    float* log_sum,
                    float* pull,
                    float* anchor_loss,
                    float* loss) {
  const Runs cut(gpu, s.N);
  const std::size_t sums = static_cast<std::size_t>(cut.runs) * static_cast<std::size_t>(s.N);
  auto* row_sums = static_cast<RowSum*>(gpu.workspace(sums * sizeof(RowSum)));
  launch(supcon_sums_kernel, dim3(cut.tiles, cut.runs), kTileThreads, 0, gpu, s, z, labels,
         kLog2e / temperature, cut.tiles_per_run, row_sums);
  launch(supcon_anchors_kernel, dim3(ceil_div(s.N, kSumThreads)), kSumThreads, 0, gpu, s.N, cut.runs,
         row_sums, log_sum, pull, anchor_loss);
  launch(supcon_mean_kernel, 1, kSumThreads, 0, gpu, s.N, anchor_loss, loss);
}

void supcon_backward(const Gpu& gpu,
                     SupconShape s,
                     const float* z,
                     const std::int32_t* labels,
                     float temperature,
                     const float* log_sum,
                     const float* pull,
                     const float* dloss,
                     float* dz) {
  const Runs cut(gpu, s.N);
  const std::int64_t size = std::int64_t(s.N) * s.D;
  float* to = dz;
  if (cut.runs > 1)
    to = static_cast<float*>(gpu.workspace(static_cast<std::size_t>(cut.runs * size) * sizeof(float)));
  launch(supcon_backward_kernel, dim3(cut.tiles, cut.runs, ceil_div(s.D, kDims)), kTileThreads, 0, gpu, s, z,
         labels, temperature, kLog2e / temperature, cut.tiles_per_run, log_sum, pull, dloss, to);
  if (cut.runs > 1) sum_runs(gpu, to, size, cut.runs, dz);
}

}  // namespace clx::kernels
