// What: the places of a map's values in descending order, as kernels/rank.h says.
// Who: a block per run of 1,024 pixels sorts its keys (bitonic). Rounds then merge neighbouring runs: a
// thread
//   per key finds by bisection how many keys of the other run go before its own. Keys (value, pixel) are
//   distinct, so the order is the only one. The last launch writes the ranks, a thread per key; with several
//   planes it finds by bisection where the equal values begin and end.
// Where: 8 KiB of keys in shared memory; all keys twice in the workspace.
// Limit: latency of the sort's barriers, then of the bisections in the second-level cache, log² of the
// pixels.
#include "kernels/rank.h"

#include <cstddef>
#include <utility>

#include "kernels/cuda/launch.h"
#include "kernels/rank_key.h"

namespace clx::kernels {
namespace {

using Key = unsigned long long;

constexpr int kThreads = 256, kRun = 1024;
constexpr Key kLast = ~Key(0);

__global__ void __launch_bounds__(kThreads)
    sort_runs_kernel(const RankShape s, const float* maps, Key* keys) {
  CLX_SHARED(Key, run, [kRun]);
  const int first = blockIdx.x * kRun;
  const std::int64_t map = std::int64_t(blockIdx.y) * s.pixels;
  for (int i = threadIdx.x; i < kRun; i += kThreads) {
    const int p = first + i;
    run[i] =
        p < s.pixels ? Key(rank_key(__float_as_uint(maps[map + p]), s.magnitude)) << 32 | unsigned(p) : kLast;
  }
  __syncthreads();  // all keys are there
  for (int length = 2; length <= kRun; length *= 2) {
    for (int apart = length / 2; apart > 0; apart /= 2) {
      for (int pair = threadIdx.x; pair < kRun / 2; pair += kThreads) {
        const int low = pair / apart * 2 * apart + pair % apart, high = low + apart;
        const Key a = run[low], b = run[high];
        if ((a > b) == ((low & length) == 0)) {
          run[low] = b;
          run[high] = a;
        }
      }
      __syncthreads();  // the exchanges of this distance are done
    }
  }
  for (int i = threadIdx.x; i < kRun; i += kThreads)
    if (first + i < s.pixels) keys[map + first + i] = run[i];
}

/// How many of `count` ascending keys are below `bound`.
__device__ __forceinline__ int count_below(const Key* keys, int count, Key bound) {
  int low = 0;
  while (count > 0) {
    const int half = count / 2;
    const bool below = keys[low + half] < bound;
    low += below ? half + 1 : 0;
    count = below ? count - half - 1 : half;
  }
  return low;
}

/// Merges each two neighbouring runs of `length` keys.
__global__ void __launch_bounds__(kThreads)
    merge_runs_kernel(int pixels, int length, const Key* from, Key* to) {
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= pixels) return;
  from += std::int64_t(blockIdx.y) * pixels;
  to += std::int64_t(blockIdx.y) * pixels;
  const int run = i / length, other = (run ^ 1) * length;
  const int count = other >= pixels ? 0 : other + length <= pixels ? length : pixels - other;
  const int begin = (run & ~1) * length;
  to[begin + (i - run * length) + count_below(from + other, count, from[i])] = from[i];
}

__global__ void __launch_bounds__(kThreads)
    write_ranks_kernel(const RankShape s, const Key* keys, std::int32_t* ranks) {
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= s.pixels) return;
  keys += std::int64_t(blockIdx.y) * s.pixels;
  ranks += std::int64_t(blockIdx.y) * s.pixels * s.channels;
  const Key key = keys[i], value = key >> 32 << 32;
  ranks += std::int64_t(key & 0xffffffffu) * s.channels;
  if (s.channels == 1) {
    ranks[0] = i;
    return;
  }
  const int first = count_below(keys, i, value);
  const int count = count_below(keys + i, s.pixels - i, value | 0xffffffffu) + i - first;
  for (int c = 0; c < s.channels; ++c)
    ranks[c] = s.channels * first + c * count + (i - first);
}

}  // namespace

void rank_maps(const Gpu& gpu, const RankShape& s, const float* maps, std::int32_t* ranks) {
  constexpr int kMostMaps = 65535;
  const unsigned runs = (s.pixels + kRun - 1) / kRun, blocks = (s.pixels + kThreads - 1) / kThreads;
  const int together = s.N < kMostMaps ? s.N : kMostMaps;
  const std::size_t bytes = sizeof(Key) * static_cast<std::size_t>(together) * s.pixels;
  auto* keys = static_cast<Key*>(gpu.workspace(bytes));
  auto* merged = static_cast<Key*>(gpu.workspace(bytes));
  for (int n = 0; n < s.N; n += together) {
    const unsigned count = s.N - n < together ? s.N - n : together;
    const std::int64_t at = std::int64_t(n) * s.pixels;
    launch(sort_runs_kernel, dim3(runs, count), kThreads, 0, gpu, s, maps + at, keys);
    for (int length = kRun; length < s.pixels; length *= 2) {
      launch(merge_runs_kernel, dim3(blocks, count), kThreads, 0, gpu, s.pixels, length, keys, merged);
      std::swap(keys, merged);
    }
    launch(write_ranks_kernel, dim3(blocks, count), kThreads, 0, gpu, s, keys, ranks + at * s.channels);
  }
}

}  // namespace clx::kernels
