// Inline PTX of sm_80 and later, each instruction with its host twin. The only inline assembly of the
// kernels is here and in ptx_hopper.h.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/cuda/launch.h"

#ifdef __CUDACC__
#define CLX_PTX static __device__ __forceinline__
#define CLX_PTX_SITE
#define CLX_PTX_ONLY_SITE
#else
#include "kernels/cuda/emulator/instructions.h"
#define CLX_PTX static __forceinline__
#define CLX_PTX_SITE , emulator::Site site = std::source_location::current()
#define CLX_PTX_ONLY_SITE emulator::Site site = std::source_location::current()
#endif

namespace clx::kernels::ptx {
inline namespace CLX_GPU_TARGET {

/// The 32-bit address of `p` in the block's shared memory.
CLX_PTX std::uint32_t shared_address(const void* p) {
#ifdef __CUDACC__
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
#else
  return emulator::shared_address(p);
#endif
}

/// Copies 16 bytes from global to shared memory past the registers, or writes 16 zeros if `valid` is
/// false (`from` is not read then, but must be a mapped, aligned address). Both are aligned to 16.
/// Done once a cp_async_wait of the issuing thread covers its group; then a barrier for the others.
CLX_PTX void cp_async_16(void* to, const void* from, bool valid = true CLX_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0)
               : "memory");
#else
  emulator::cp_async(to, from, 16, valid ? 16 : 0, site);
#endif
}

/// Ends a group of copies; an empty group counts too.
CLX_PTX void cp_async_commit() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulator::cp_async_commit();
#endif
}

/// Waits until at most kPending of this thread's latest groups are in flight.
template <int kPending>
CLX_PTX void cp_async_wait() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#else
  emulator::cp_async_wait(kPending);
#endif
}

/// Loads four 8×8 matrices of 16-bit elements from shared memory. Lane 8·i + j names row j of matrix i;
/// r[i] of lane l holds elements (l/4, 2·(l%4)) and (l/4, 2·(l%4) + 1) of matrix i. All 32 lanes.
CLX_PTX void ldmatrix_x4(std::uint32_t (&r)[4], const void* row CLX_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#else
  emulator::ldmatrix_x4(r, row, false, site);
#endif
}

/// The same with each matrix transposed: r[i] holds elements (2·(l%4), l/4) and (2·(l%4) + 1, l/4).
CLX_PTX void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row CLX_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#else
  emulator::ldmatrix_x4(r, row, true, site);
#endif
}

/// d (16×8, f32) += a (16×16, bf16, row-major) · b (16×8, bf16, column-major). With g = lane/4, t = lane%4:
/// a[0] (g, 2t), a[1] (g+8, 2t), a[2] (g, 2t+8), a[3] (g+8, 2t+8), each with the next column above it;
/// b[0] (2t, g), b[1] (2t+8, g), each with the next row above it;
/// d[0] (g, 2t), d[1] (g, 2t+1), d[2] (g+8, 2t), d[3] (g+8, 2t+1). All 32 lanes.
CLX_PTX void mma_m16n8k16_bf16(float (&d)[4],
                               const std::uint32_t (&a)[4],
                               const std::uint32_t (&b)[2] CLX_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  emulator::mma_m16n8k16_bf16(d, a, b, site);
#endif
}

/// d (16×8, f32) += a (16×8, tf32, row-major) · b (8×8, tf32, column-major), operands from `to_tf32`.
/// With g = lane/4, t = lane%4: a[0] (g, t), a[1] (g+8, t), a[2] (g, t+4), a[3] (g+8, t+4);
/// b[0] (t, g), b[1] (t+4, g); d as for bf16. All 32 lanes.
CLX_PTX void mma_m16n8k8_tf32(float (&d)[4],
                              const std::uint32_t (&a)[4],
                              const std::uint32_t (&b)[2] CLX_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  emulator::mma_m16n8k8_tf32(d, a, b, site);
#endif
}

/// The bits of x rounded to tf32 (10 bits of mantissa, to nearest, ties away from zero).
CLX_PTX std::uint32_t to_tf32(float x) {
#ifdef __CUDACC__
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#else
  const std::uint32_t bits = __float_as_uint(x);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return nan ? 0x7fffffffu : (bits + 0x1000u) & 0xffffe000u;
#endif
}

/// Two floats rounded to nearest even as a pair of bf16; `low` is the one at the lower address.
CLX_PTX std::uint32_t pack_bf16(float low, float high) {
#ifdef __CUDACC__
  std::uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
#else
  return std::uint32_t(bf16(low).bits) | std::uint32_t(bf16(high).bits) << 16;
#endif
}

/// The two floats of a pair of bf16: x the one at the lower address.
CLX_PTX float2 unpack_bf16(std::uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

/// Barrier `id` (1 … 15; 0 is __syncthreads) of `threads` threads, a multiple of 32.
CLX_PTX void named_barrier_sync(int id, int threads CLX_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emulator::barrier_sync(id, threads, site);
#endif
}

/// The same without waiting.
CLX_PTX void named_barrier_arrive(int id, int threads CLX_PTX_SITE) {
#ifdef __CUDACC__
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emulator::barrier_arrive(id, threads, site);
#endif
}

}  // namespace CLX_GPU_TARGET
}  // namespace clx::kernels::ptx
