// The instructions behind ptx.h and ptx_hopper.h, as the emulator executes them. Layouts follow the PTX ISA.
#pragma once

#include <cstdint>

#include "kernels/cuda/emulator/thread.h"

namespace clx::emulator {

void cp_async(void* to, const void* from, std::uint32_t bytes, std::uint32_t source_bytes, Site);
void cp_async_commit();
void cp_async_wait(int pending);

void ldmatrix_x4(std::uint32_t* r, const void* row, bool transpose, Site);
void mma_m16n8k16_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, Site);
void mma_m16n8k8_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, Site);

void mbarrier_init(std::uint64_t* barrier, std::uint32_t count, Site);
void mbarrier_arrive(std::uint64_t* barrier, std::uint32_t expected_bytes, Site);
void mbarrier_wait(std::uint64_t* barrier, std::uint32_t parity, Site);
void fence_proxy_async();

/// A tensor in global memory, dimensions from the innermost, as the TMA unit is told of it: 128 bytes, like
/// CUDA's. A matrix has two dimensions of size 1. One load brings `box` elements, every step-th of each.
struct alignas(128) TensorMap {
  static constexpr int kRank = 4;
  unsigned char* base = nullptr;
  std::uint64_t sizes[kRank] = {}, strides[kRank] = {};  // elements; bytes
  std::uint32_t box[kRank] = {}, steps[kRank] = {};
  std::uint32_t element_bytes = 2, swizzle = 0;
};
static_assert(sizeof(TensorMap) == 128);

/// Checks and returns it. Fails where CUDA's encoder refuses.
TensorMap checked(const TensorMap&);
void tma_load(void* to, const TensorMap&, const int (&at)[TensorMap::kRank], std::uint64_t* barrier, Site);

void wgmma_fence(Site);
void wgmma_commit(Site);
void wgmma_wait(int pending, Site);

/// m64 × n × k16 of bf16, f32 accumulators d[n/2] per thread.
void wgmma_bf16(float* d,
                int n,
                std::uint64_t a,
                std::uint64_t b,
                bool accumulate,
                bool transpose_a,
                bool transpose_b,
                Site);

}  // namespace clx::emulator
