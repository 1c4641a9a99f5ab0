// Inline PTX of Hopper (sm_90a): mbarriers, TMA loads and wgmma, each with its host twin. A kernel that
// uses them is compiled for older GPUs too and traps there: its launcher asks has_hopper_instructions first.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "kernels/cuda/ptx.h"

#ifdef __CUDACC__
#include <cuda.h>  // CUtensorMap; the encoder is found at run time
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDA_ARCH__)
#define CLX_PTX_SM90(...) asm volatile(__VA_ARGS__)
#else
#define CLX_PTX_SM90(...) __trap()
#endif

// wgmma of bf16: its columns, the accumulators, and where a, b, `accumulate` and the transpositions stand
// among the operands of the asm statement.
#define CLX_PTX_WGMMA(columns, d, a, b, accumulate, transpose_a, transpose_b)       \
  "{\n"                                                                             \
  ".reg .pred p;\n"                                                                 \
  "setp.ne.b32 p, " accumulate                                                      \
  ", 0;\n"                                                                          \
  "wgmma.mma_async.sync.aligned.m64" columns "k16.f32.bf16.bf16 {" d "}, " a ", " b \
  ", p, 1, 1, " transpose_a ", " transpose_b                                        \
  ";\n"                                                                             \
  "}"
#define CLX_PTX_32_REGISTERS                               \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define CLX_PTX_64_REGISTERS                                          \
  CLX_PTX_32_REGISTERS                                                \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define CLX_PTX_4(d, i) "+f"((d)[i]), "+f"((d)[(i) + 1]), "+f"((d)[(i) + 2]), "+f"((d)[(i) + 3])
#define CLX_PTX_16(d, i) CLX_PTX_4(d, i), CLX_PTX_4(d, (i) + 4), CLX_PTX_4(d, (i) + 8), CLX_PTX_4(d, (i) + 12)
#endif

namespace clx::kernels::ptx {

/// How 16-byte chunks of a tile are permuted in shared memory; the values of wgmma's descriptor.
enum class Swizzle : std::uint32_t { none = 0, bytes_128 = 1, bytes_64 = 2, bytes_32 = 3 };

inline namespace CLX_GPU_TARGET {

#ifdef __CUDACC__
using TensorMap = CUtensorMap;
#else
using TensorMap = emulator::TensorMap;
#endif

/// Prepares a barrier in shared memory for `count` arrivals per phase. One thread does it; then
/// mbarrier_init_fence, and __syncthreads before anyone uses it.
CLX_PTX void mbarrier_init(std::uint64_t* barrier, std::uint32_t count CLX_PTX_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count)
               : "memory");
#else
  emulator::mbarrier_init(barrier, count, site);
#endif
}

/// Makes initialised barriers visible to TMA.
CLX_PTX void mbarrier_init_fence() {
#ifdef __CUDACC__
  CLX_PTX_SM90("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

CLX_PTX void mbarrier_arrive(std::uint64_t* barrier CLX_PTX_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
#else
  emulator::mbarrier_arrive(barrier, 0, site);
#endif
}

/// Arrives, and lets the phase end only after `bytes` more have been written by TMA loads.
CLX_PTX void mbarrier_arrive_expect(std::uint64_t* barrier, std::uint32_t bytes CLX_PTX_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90(
      "mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
#else
  emulator::mbarrier_arrive(barrier, bytes, site);
#endif
}

/// Waits for the end of the phase with this parity: 0 for the first, 1 for the second, and so on.
CLX_PTX void mbarrier_wait(std::uint64_t* barrier, std::uint32_t parity CLX_PTX_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
#else
  emulator::mbarrier_wait(barrier, parity, site);
#endif
}

/// Orders this thread's earlier stores to shared memory before later reads by wgmma and TMA; a barrier
/// for the other threads follows.
CLX_PTX void fence_proxy_async() {
#ifdef __CUDACC__
  CLX_PTX_SM90("fence.proxy.async.shared::cta;" ::: "memory");
#else
  emulator::fence_proxy_async();
#endif
}

/// One thread loads the box of `map` at (row, col) into shared memory; elements outside the matrix are
/// zero. Completes `barrier` by the bytes of the whole box. `to` is aligned to 1024, 512, 256 or 128 bytes
/// for swizzles of 128, 64, 32 bytes and none.
CLX_PTX void tma_load_2d(
    void* to, const TensorMap& map, int col, int row, std::uint64_t* barrier CLX_PTX_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(barrier)), "r"(col), "r"(row)
      : "memory");
#else
  emulator::tma_load(to, map, {col, row, 0, 0}, barrier, site);
#endif
}

/// The same of the box of `map` that begins at image n, row h, column w and channel c.
CLX_PTX void tma_load_4d(
    void* to, const TensorMap& map, int c, int w, int h, int n, std::uint64_t* barrier CLX_PTX_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(barrier)), "r"(c), "r"(w), "r"(h), "r"(n)
      : "memory");
#else
  emulator::tma_load(to, map, {c, w, h, n}, barrier, site);
#endif
}

/// Orders register and shared-memory accesses before the next wgmma. All 128 threads of the warpgroup,
/// as for the next four.
CLX_PTX void wgmma_fence(CLX_PTX_ONLY_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90("wgmma.fence.sync.aligned;" ::: "memory");
#else
  emulator::wgmma_fence(site);
#endif
}

/// Ends a group of wgmmas.
CLX_PTX void wgmma_commit(CLX_PTX_ONLY_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  emulator::wgmma_commit(site);
#endif
}

/// Waits until at most kPending groups are in flight. Accumulators are not touched before.
template <int kPending>
CLX_PTX void wgmma_wait(CLX_PTX_ONLY_SITE) {
#ifdef __CUDACC__
  CLX_PTX_SM90("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
#else
  emulator::wgmma_wait(kPending, site);
#endif
}

/// Keeps the compiler from moving accesses of accumulators over this place: before a fence, after a wait.
template <int kCount>
CLX_PTX void wgmma_pin(float (&d)[kCount]) {
#ifdef __CUDACC__
#pragma unroll
  for (int i = 0; i < kCount; ++i)
    asm volatile("" : "+f"(d[i])::"memory");
#else
  static_cast<void>(d);
#endif
}

/// The descriptor of an operand in shared memory: its address and byte strides between core matrices.
/// K-major with swizzle: `stride` = bytes from 8 rows to the next 8, `leading` is ignored; a step of 16
/// along k adds 32 bytes (descriptor + 2). MN-major: `leading` = bytes between atoms along mn, `stride` =
/// bytes between groups of 8 along k.
/// Source: PTX ISA, "Matrix Descriptor Format" of wgmma.
CLX_PTX std::uint64_t wgmma_descriptor(std::uint32_t address,
                                       std::uint32_t leading,
                                       std::uint32_t stride,
                                       Swizzle swizzle) {
  const auto field = [](std::uint32_t bytes) { return std::uint64_t((bytes & 0x3FFFFu) >> 4); };
  return field(address) | field(leading) << 16 | field(stride) << 32 | std::uint64_t(swizzle) << 62;
}

/// d (64×64 or 64×128, f32) += or, if `accumulate` is false, = a (64×16, bf16) · b (16 × 64 or 128, bf16),
/// operands in shared memory. kTransposeA/B: the operand is MN-major instead of K-major. Thread t of the
/// warpgroup holds in d[4·j + 2·h + i] element (16·(t/32) + (t%32)/4 + 8·h, 8·j + 2·(t%4) + i).
template <bool kTransposeA, bool kTransposeB, int kCount>
CLX_PTX void wgmma_m64k16_bf16(float (&d)[kCount],
                               std::uint64_t a,
                               std::uint64_t b,
                               bool accumulate CLX_PTX_SITE) {
  static_assert(kCount == 32 || kCount == 64);
#ifdef __CUDACC__
  if constexpr (kCount == 32)
    CLX_PTX_SM90(CLX_PTX_WGMMA("n64", CLX_PTX_32_REGISTERS, "%32", "%33", "%34", "%35", "%36")
                 : CLX_PTX_16(d, 0), CLX_PTX_16(d, 16)
                 : "l"(a), "l"(b), "r"(int(accumulate)), "n"(int(kTransposeA)), "n"(int(kTransposeB)));
  else
    CLX_PTX_SM90(CLX_PTX_WGMMA("n128", CLX_PTX_64_REGISTERS, "%64", "%65", "%66", "%67", "%68")
                 : CLX_PTX_16(d, 0), CLX_PTX_16(d, 16), CLX_PTX_16(d, 32), CLX_PTX_16(d, 48)
                 : "l"(a), "l"(b), "r"(int(accumulate)), "n"(int(kTransposeA)), "n"(int(kTransposeB)));
#else
  emulator::wgmma_bf16(d, 2 * kCount, a, b, accumulate, kTransposeA, kTransposeB, site);
#endif
}

#ifdef __CUDACC__
/// A tensor of `rank` dimensions from the innermost, for TMA. Throws: std::runtime_error if TMA cannot read
/// it.
inline TensorMap encode_tensor_map(int rank,
                                   const void* base,
                                   const cuuint64_t* sizes,
                                   const cuuint64_t* strides,
                                   const cuuint32_t* box,
                                   const cuuint32_t* steps,
                                   Swizzle swizzle) {
  static void* const entry = [] {
    void* found_entry = nullptr;
    cudaDriverEntryPointQueryResult found;
    cuda_check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found_entry, 12000,
                                                cudaEnableDefault, &found),
               "cuTensorMapEncodeTiled");
    if (!found_entry) throw std::runtime_error("encode_tensor_map: the driver has no cuTensorMapEncodeTiled");
    return found_entry;
  }();
  constexpr CUtensorMapSwizzle kSwizzles[] = {CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                              CU_TENSOR_MAP_SWIZZLE_64B, CU_TENSOR_MAP_SWIZZLE_32B};
  TensorMap map;
  const CUresult result = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry)(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<cuuint32_t>(rank), const_cast<void*>(base), sizes,
      strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, kSwizzles[static_cast<int>(swizzle)],
      CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) throw std::runtime_error("encode_tensor_map: TMA cannot read this tensor");
  return map;
}
#endif

/// Describes a row-major bf16 matrix in global memory, and the box that one load brings, for TMA. Base and
/// `row_bytes` are multiples of 16; the box is at most 256×256 and its rows fit the swizzle.
/// Throws: std::runtime_error for a matrix that TMA cannot read.
inline TensorMap make_tensor_map_2d(const void* base,
                                    std::uint64_t rows,
                                    std::uint64_t cols,
                                    std::uint64_t row_bytes,
                                    std::uint32_t box_rows,
                                    std::uint32_t box_cols,
                                    Swizzle swizzle) {
#ifdef __CUDACC__
  const cuuint64_t sizes[] = {cols, rows}, strides[] = {row_bytes};
  const cuuint32_t box[] = {box_cols, box_rows}, steps[] = {1, 1};
  return encode_tensor_map(2, base, sizes, strides, box, steps, swizzle);
#else
  TensorMap map{static_cast<unsigned char*>(const_cast<void*>(base)),
                {cols, rows, 1, 1},
                {sizeof(bf16), row_bytes, 0, 0},
                {box_cols, box_rows, 1, 1},
                {1, 1, 1, 1}};
  map.swizzle = static_cast<std::uint32_t>(swizzle);
  return emulator::checked(map);
#endif
}

/// What one load brings of images: n×h×w pixels, of which rows and columns are `step` apart, c channels each.
struct ImageBox {
  int n = 1, h = 1, w = 1, c = 64, step = 1;
};

/// Describes bf16 images (N,H,W,C) for TMA, with a swizzle of 128 bytes. The base and 2·C are multiples of
/// 16; a box has at most 64 channels, h·step and w·step are at most 256, step is at most 8. Throws:
/// std::runtime_error for images that TMA cannot read.
inline TensorMap make_tensor_map_4d(const void* base, int N, int H, int W, int C, const ImageBox& image_box) {
  const auto pixel = std::uint64_t(C) * sizeof(bf16), row = pixel * unsigned(W), image = row * unsigned(H);
  const unsigned step = unsigned(image_box.step);
  const unsigned n = unsigned(image_box.n), h = unsigned(image_box.h), w = unsigned(image_box.w),
                 c = unsigned(image_box.c);
#ifdef __CUDACC__
  const cuuint64_t sizes[] = {cuuint64_t(C), cuuint64_t(W), cuuint64_t(H), cuuint64_t(N)};
  const cuuint64_t strides[] = {pixel, row, image};
  // CUDA is told the extent that a box covers, of which every step-th element is loaded.
  const cuuint32_t box[] = {c, w * step, h * step, n}, steps[] = {1, step, step, 1};
  return encode_tensor_map(4, base, sizes, strides, box, steps, Swizzle::bytes_128);
#else
  TensorMap map{static_cast<unsigned char*>(const_cast<void*>(base)),
                {std::uint64_t(C), std::uint64_t(W), std::uint64_t(H), std::uint64_t(N)},
                {sizeof(bf16), pixel, row, image},
                {c, w, h, n},
                {1, step, step, 1}};
  map.swizzle = static_cast<std::uint32_t>(Swizzle::bytes_128);
  return emulator::checked(map);
#endif
}

}  // namespace CLX_GPU_TARGET
}  // namespace clx::kernels::ptx
