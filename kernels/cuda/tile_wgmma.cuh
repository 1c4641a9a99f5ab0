// One tile of a matrix product of bf16 on the tensor cores of sm_90a: TMA fills stages of shared memory,
// wgmma multiplies them, mbarriers hand them to and fro. Included by kernels/cuda/*.cu only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx_hopper.h"

namespace clx::kernels {
namespace {

/// A tile of 128×BN results, 64 rows to each of two warpgroups; a third group, of one warp, loads. A stage
/// holds 64 numbers of k of both factors as slabs of 64 lines of 64 numbers, swizzled by 128 bytes: two of A,
/// then BN/64 of B. Two blocks share a multiprocessor: one stores while the other multiplies.
///
/// A line is the row m (or column n) of a factor whose numbers lie along k in memory; or it is one k, of a
/// factor whose neighbours in m (or n) are neighbours in memory: wgmma calls that "MN-major".
template <int BN_>
struct WgmmaTile {
  static constexpr int BM = 128, BN = BN_, kDepth = 64;
  static constexpr int kConsumers = 256, kThreads = kConsumers + 32;
  static constexpr int kSlab = 64 * 128;  // bytes
  static constexpr int kSlabsB = BN / 64, kStageBytes = (2 + kSlabsB) * kSlab;
  static constexpr int kStages = BN == 64 ? 4 : 3;
  static constexpr std::size_t kBytes = std::size_t(kStages) * kStageBytes;
};

constexpr std::uint32_t kSlabBytes = 64 * 128;

/// The 16 numbers along k of number `step` (0 … 3), of the slabs of a factor that begin at `slab`.
template <bool kAlongK>
__device__ __forceinline__ std::uint64_t slab_descriptor(const unsigned char* slab, int step) {
  // Along k: eight lines of 128 bytes are a group, 16 numbers are 32 bytes of each. Otherwise eight lines are
  // eight numbers of k, and the next 64 of m or n lie in the next slab.
  const std::uint32_t within = kAlongK ? 32 : 16 * 128;
  return ptx::wgmma_descriptor(ptx::shared_address(slab) + unsigned(step) * within, kSlabBytes, 1024,
                               ptx::Swizzle::bytes_128);
}

/// A stage of the ring, and the parity of the phase in which it is used.
template <int kStages>
struct Turn {
  int stage = 0;
  std::uint32_t parity = 0;
  __device__ __forceinline__ void next() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

/// Sums one tile over `steps` stages. `load(step, slabs, barrier)` starts the TMA loads of all slabs of one
/// stage, for one thread; `store(warpgroup, sum, shared)` is called by the 256 threads that multiply, with
/// the results of ptx::wgmma_m64k16_bf16; once all of them have called it, the shared memory is theirs. Needs
/// Tile::kBytes of dynamic shared memory.
template <class Tile, bool kAlongKA, bool kAlongKB, class Load, class Store>
__device__ __forceinline__ void multiply_tile_wgmma(int steps, const Load& load, const Store& store) {
  constexpr int kStages = Tile::kStages;
  CLX_DYNAMIC_SHARED(shared);                     // (kStages, 2 + kSlabsB, 64 × 64)
  CLX_SHARED(std::uint64_t, full, [kStages]);     // the loads of a stage have arrived
  CLX_SHARED(std::uint64_t, emptied, [kStages]);  // the warps have read it
  const int lane = threadIdx.x % 32;
  const int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);  // the compiler sees that a warp shares it
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      ptx::mbarrier_init(&full[i], 1);
      ptx::mbarrier_init(&emptied[i], Tile::kConsumers / 32);
    }
    ptx::mbarrier_init_fence();
    ptx::fence_proxy_async();
  }
  __syncthreads();  // the barriers are ready

  Turn<kStages> turn;
  if (warp == Tile::kConsumers / 32) {
    if (lane > 0) return;
    for (int step = 0; step < steps; ++step, turn.next()) {
      ptx::mbarrier_wait(&emptied[turn.stage], turn.parity ^ 1);  // at once in the first round
      ptx::mbarrier_arrive_expect(&full[turn.stage], Tile::kStageBytes);
      load(step, shared + turn.stage * Tile::kStageBytes, &full[turn.stage]);
    }
    return;
  }

  float sum[Tile::BN / 2] = {};
  const int warpgroup = warp / 4;
  int previous = 0;
  ptx::wgmma_pin(sum);
  for (int step = 0; step < steps; ++step, turn.next()) {
    const unsigned char* const a = shared + turn.stage * Tile::kStageBytes + warpgroup * Tile::kSlab;
    const unsigned char* const b = shared + turn.stage * Tile::kStageBytes + 2 * Tile::kSlab;
    ptx::mbarrier_wait(&full[turn.stage], turn.parity);
    ptx::wgmma_fence();
#pragma unroll
    for (int k = 0; k < Tile::kDepth / 16; ++k)
      ptx::wgmma_m64k16_bf16<!kAlongKA, !kAlongKB>(sum, slab_descriptor<kAlongKA>(a, k),
                                                   slab_descriptor<kAlongKB>(b, k), true);
    ptx::wgmma_commit();
    ptx::wgmma_wait<1>();  // this step runs on; the one before is done with its stage
    if (step > 0 && lane == 0) ptx::mbarrier_arrive(&emptied[previous]);
    previous = turn.stage;
  }
  ptx::wgmma_wait<0>();
  ptx::wgmma_pin(sum);
  store(warpgroup, sum, shared);
}

}  // namespace
}  // namespace clx::kernels
