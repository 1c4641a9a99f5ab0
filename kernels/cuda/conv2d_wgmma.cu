// What: the products of conv2d_operands.cuh in bf16 by TMA and wgmma.
// Who: y and dx: the grid covers the result with tiles of 128 positions × 64 or 128 channels, channels
//   fastest, so that neighbouring blocks share patches; dx: one launch per phase. The 128 positions are a
//   box of images × rows × columns, so that one TMA load brings what a tap sees of them, 64 channels deep;
//   outside the images it writes zeros. dw: tiles of two times 64 channels of a tap × 64 or 128 filters;
//   blockIdx.z is a run of boxes of 64 positions, added up by a second kernel; positions that stick out of
//   y have a dy of zero. In a block one thread loads and two warpgroups multiply.
// Where: three stages of 32 KiB or four of 24 KiB (tile_wgmma.cuh), two blocks to a multiprocessor.
// Limit: tensor cores; memory for 1×1 filters and for few channels.
#include "kernels/cuda/conv2d_wgmma.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/conv2d_operands.cuh"
#include "kernels/cuda/divisor.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/moments.cuh"
#include "kernels/cuda/sum_runs.cuh"
#include "kernels/cuda/tile_operand.cuh"
#include "kernels/cuda/tile_wgmma.cuh"

namespace clx::kernels {
namespace {

struct Pixel {
  int n, h, w;
};

/// The positions of an N×H×W grid, dealt out to boxes of 2^log_n × 2^log_h × 2^log_w; those at the edges
/// stick out of the grid.
struct Boxes {
  int N, H, W;
  int log_n = 0, log_h = 0, log_w = 0;
  Divisor down, across;  // boxes above each other and side by side in one image
  int count = 0;

  /// Boxes of `size` positions, as few as there can be; of several such shapes the widest, then the highest.
  Boxes(int N_, int H_, int W_, int size) : N(N_), H(H_), W(W_) {
    int log = 0;
    while (1 << log < size)
      ++log;
    const auto boxes = [](int extent, int log_box) { return (extent + (1 << log_box) - 1) >> log_box; };
    std::int64_t fewest = -1;
    for (int lw = log; lw >= 0; --lw) {
      for (int lh = log - lw; lh >= 0; --lh) {
        const int ln = log - lw - lh;
        const std::int64_t all = std::int64_t(boxes(N, ln)) * boxes(H, lh) * boxes(W, lw);
        if (fewest >= 0 && all >= fewest) continue;
        fewest = all;
        log_n = ln, log_h = lh, log_w = lw;
      }
    }
    down = Divisor(boxes(H, log_h)), across = Divisor(boxes(W, log_w));
    count = static_cast<int>(fewest);
  }
  ptx::ImageBox pixels(int step) const {
    return {.n = 1 << log_n, .h = 1 << log_h, .w = 1 << log_w, .step = step};
  }

  /// The first position of a box.
  __device__ __forceinline__ Pixel corner(int box) const {
    const int line = across.quotient(box), n = down.quotient(line);
    return {n << log_n, (line - n * down.d) << log_h, (box - line * across.d) << log_w};
  }
  /// Position i of the box at `corner`.
  __device__ __forceinline__ Pixel at(Pixel corner, int i) const {
    return {corner.n + (i >> (log_h + log_w)), corner.h + (i >> log_w & ((1 << log_h) - 1)),
            corner.w + (i & ((1 << log_w) - 1))};
  }
  __device__ __forceinline__ bool contain(Pixel p) const { return p.n < N && p.h < H && p.w < W; }
};

/// Patches as in conv2d_operands.cuh, but a box of positions at a time and 64 channels of a tap.
struct PatchBoxes {
  struct Tap {
    int r, s, c;
  };

  ptx::TensorMap images;
  Boxes boxes;
  int stride, direction, start_h, start_w;
  Divisor blocks, columns;  // of 64 channels in a tap; taps in a row of the filters
  int count;                // of such blocks in all taps

  PatchBoxes(const Patches<bf16>& p, int N, int size)
      : boxes(N, p.I.d, p.J.d, size),
        stride(p.stride),
        direction(p.direction),
        start_h(p.start_h),
        start_w(p.start_w),
        blocks(p.C / 64),
        columns(p.S),
        count(p.taps / 64) {
    images = ptx::make_tensor_map_4d(p.images, N, p.H, p.W, p.C, boxes.pixels(stride));
  }
  __device__ __forceinline__ Tap tap(int block) const {
    const int rs = blocks.quotient(block), r = columns.quotient(rs);
    return {r, rs - r * columns.d, (block - rs * blocks.d) * 64};
  }
  __device__ __forceinline__ void load(unsigned char* to,
                                       Pixel corner,
                                       Tap tap,
                                       std::uint64_t* barrier) const {
    ptx::tma_load_4d(to, images, tap.c, corner.w * stride + start_w + tap.s * direction,
                     corner.h * stride + start_h + tap.r * direction, corner.n, barrier);
  }
};

/// Stores y with its epilogue, or a phase of dx with a residual: position (n,i,j) is pixel
/// (n, i·step + h0, j·step + w0).
struct StorePixels {
  bf16* images;
  int H, W, C;
  int step = 1, h0 = 0, w0 = 0;
  const float* bias = nullptr;
  const bf16* residual = nullptr;
  bool relu = false;

  __device__ __forceinline__ std::int64_t offset(Pixel p) const {
    return ((std::int64_t(p.n) * H + p.h * step + h0) * W + p.w * step + w0) * C;
  }
  /// Two results of channels c and c + 1 as they are stored at `offset`.
  __device__ __forceinline__ std::uint32_t pair(std::int64_t offset, int c, float v0, float v1) const {
    if (bias != nullptr) v0 += bias[c], v1 += bias[c + 1];
    if (residual != nullptr) {
      const float2 r = ptx::unpack_bf16(*reinterpret_cast<const std::uint32_t*>(residual + offset));
      v0 += r.x, v1 += r.y;
    }
    if (relu) {  // a NaN stays one
      v0 = v0 < 0.f ? 0.f : v0;
      v1 = v1 < 0.f ? 0.f : v1;
    }
    return ptx::pack_bf16(v0, v1);
  }
};

/// y or dx: patches times filters, a matrix (K, R·S·C) as they lie in memory. Blocks of 64 along k are
/// columns of it for y; for dx they are 64 rows of a tap's C columns.
struct ImageProduct {
  PatchBoxes a;
  ptx::TensorMap filters;
  StorePixels store;
  Moments* moments;  // of each box's results, (boxes, channels); or null
  int n_tiles;
  int first_column = 0, columns_r = 0, columns_s = 0;  // for dx: of the first tap, and to the next in r and s
};

/// The moments of a tile's results by channel, which its 256 threads have put into shared memory as pairs of
/// neighbours: a thread sums a part of the rows of two channels, then one thread per channel merges the
/// parts.
template <class Tile>
struct TileMoments {
  static constexpr int kPairs = Tile::BN / 2, kPitch = kPairs + 4;  // + 4: rows apart by 4 banks
  static constexpr int kParts = Tile::kConsumers / kPairs, kRows = Tile::BM / kParts;
  static_assert((Tile::BM * kPitch + kParts * Tile::BN * 3) * 4 <= Tile::kBytes);

  std::uint32_t* pairs;  // (BM, kPitch)

  __device__ explicit TileMoments(unsigned char* shared) : pairs(reinterpret_cast<std::uint32_t*>(shared)) {}
  __device__ __forceinline__ void put(int row, int column, std::uint32_t pair) const {
    pairs[row * kPitch + column / 2] = pair;
  }
  /// `contains(row)`: whether it is one of the image.
  template <class Contains>
  __device__ __forceinline__ void fold(int t, const Contains& contains, Moments* to) const {
    auto* const parts = reinterpret_cast<Moments*>(pairs + Tile::BM * kPitch);  // (kParts, BN)
    ptx::named_barrier_sync(1, Tile::kConsumers);                               // all pairs are there
    const int column = t % kPairs, part = t / kPairs;
    float2 shift = make_float2(0, 0), s = shift, q = shift;
    int n = 0;
    for (int row = part * kRows; row < (part + 1) * kRows; ++row) {
      if (!contains(row)) continue;
      const float2 value = ptx::unpack_bf16(pairs[row * kPitch + column]);
      if (n++ == 0) shift = value;
      const float x = value.x - shift.x, y = value.y - shift.y;
      s.x += x, s.y += y;
      q.x += x * x, q.y += y * y;
    }
    const Moments none = {0, 0, 0};
    parts[part * Tile::BN + 2 * column] = n > 0 ? moments_of(n, shift.x, s.x, q.x) : none;
    parts[part * Tile::BN + 2 * column + 1] = n > 0 ? moments_of(n, shift.y, s.y, q.y) : none;
    ptx::named_barrier_sync(1, Tile::kConsumers);  // all parts are there
    if (t >= Tile::BN) return;
    Moments total = parts[t];
    for (int i = 1; i < kParts; ++i)
      total += parts[i * Tile::BN + t];
    to[t] = total;
  }
};

template <class Tile, bool kForward>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    image_wgmma_kernel(const __grid_constant__ ImageProduct product) {
  const int n0 = blockIdx.x % product.n_tiles * Tile::BN, box = blockIdx.x / product.n_tiles;
  const Pixel corner = product.a.boxes.corner(box);
  const auto load = [&](int step, unsigned char* slabs, std::uint64_t* barrier) {
    const auto tap = product.a.tap(step);
    product.a.load(slabs, corner, tap, barrier);
    unsigned char* const b = slabs + 2 * Tile::kSlab;
    if constexpr (kForward) {
      ptx::tma_load_2d(b, product.filters, step * 64, n0, barrier);
    } else {
      const int column = product.first_column + tap.r * product.columns_r + tap.s * product.columns_s;
      for (int slab = 0; slab < Tile::kSlabsB; ++slab)
        ptx::tma_load_2d(b + slab * Tile::kSlab, product.filters, column + n0 + slab * 64, tap.c, barrier);
    }
  };
  const auto store = [&](int warpgroup, const float(&sum)[Tile::BN / 2], unsigned char* shared) {
    const int lane = threadIdx.x % 32, row = warpgroup * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
    const TileMoments<Tile> moments(shared);
    if (kForward && product.moments != nullptr)
      ptx::named_barrier_sync(1, Tile::kConsumers);  // all stages are read: their memory is free
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Boxes& boxes = product.a.boxes;
      const Pixel p = boxes.at(corner, row + half * 8);
      const bool inside = boxes.contain(p);
      const std::int64_t offset = inside ? product.store.offset(p) : 0;
      // Four lanes hold eight neighbours of a row. Lanes in pairs swap, so that each stores four at once and
      // the four lanes 16 in a row.
#pragma unroll
      for (int j = 0; j < Tile::BN / 8; j += 2) {
        const int c = n0 + j * 8 + lane % 4 * 2, i = j * 4 + half * 2;
        const std::uint32_t left = product.store.pair(offset + c, c, sum[i], sum[i + 1]);
        const std::uint32_t right = product.store.pair(offset + c + 8, c + 8, sum[i + 4], sum[i + 5]);
        if (kForward && product.moments != nullptr) {
          moments.put(row + half * 8, c - n0, left);
          moments.put(row + half * 8, c - n0 + 8, right);
        }
        const bool odd = lane % 2 != 0;
        const std::uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? left : right, 1);
        const int first = n0 + j * 8 + (odd ? 8 : 0) + lane % 4 / 2 * 4;
        if (inside)
          *reinterpret_cast<uint2*>(product.store.images + offset + first) =
              odd ? make_uint2(other, right) : make_uint2(left, other);
      }
    }
    if (kForward && product.moments != nullptr)
      moments.fold(
          threadIdx.x, [&](int r) { return product.a.boxes.contain(product.a.boxes.at(corner, r)); },
          product.moments + std::int64_t(box) * product.store.C + n0);
  };
  multiply_tile_wgmma<Tile, true, kForward>(product.a.count, load, store);
}

/// dw as the runs of its positions: blocks of 64 channels of a tap times filters. A run is `split` boxes.
struct WeightBoxes {
  PatchBoxes a;
  ptx::TensorMap dy;
  float* partials;  // (runs, filters, channels of all taps)
  int filters, n_tiles, split;
};

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    weight_wgmma_kernel(const __grid_constant__ WeightBoxes product) {
  const PatchBoxes& a = product.a;
  const int n0 = blockIdx.x % product.n_tiles * Tile::BN, block0 = blockIdx.x / product.n_tiles * 2;
  const int begin = blockIdx.z * product.split, end = min(a.boxes.count, begin + product.split);
  const auto taps = a.tap(block0), next_taps = a.tap(block0 + 1);  // the last may be past the end: not stored
  const auto load = [&](int step, unsigned char* slabs, std::uint64_t* barrier) {
    const Pixel corner = a.boxes.corner(begin + step);
    a.load(slabs, corner, taps, barrier);
    a.load(slabs + Tile::kSlab, corner, next_taps, barrier);
    for (int slab = 0; slab < Tile::kSlabsB; ++slab)
      ptx::tma_load_4d(slabs + (2 + slab) * Tile::kSlab, product.dy, n0 + slab * 64, corner.w, corner.h,
                       corner.n, barrier);
  };
  const auto store = [&](int warpgroup, const float(&sum)[Tile::BN / 2], unsigned char*) {
    if (block0 + warpgroup >= a.count) return;
    const int lane = threadIdx.x % 32, columns = a.count * 64;
    const int column = (block0 + warpgroup) * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
    float* const to = product.partials + std::int64_t(blockIdx.z) * product.filters * columns + column;
#pragma unroll
    for (int i = 0; i < Tile::BN / 2; ++i) {  // eight lanes store neighbours
      const int filter = n0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
      to[std::int64_t(filter) * columns + i / 2 % 2 * 8] = sum[i];
    }
  };
  multiply_tile_wgmma<Tile, false, false>(end - begin, load, store);
}

/// 1×1 filters see rows of pixels, not images: one row then makes the fullest boxes.
Conv2dShape without_borders(Conv2dShape s) {
  if (s.R == 1 && s.S == 1 && s.stride == 1 && s.padding == 0) s.W *= s.N * s.H, s.N = s.H = 1;
  return s;
}

/// Calls f(tile) with the widest tile that divides N columns.
template <class F>
void with_tile(int N, F&& f) {
  if (N % 128 == 0)
    f(WgmmaTile<128>{});
  else
    f(WgmmaTile<64>{});
}

}  // namespace

bool takes_wgmma(const Gpu& gpu, const Conv2dShape& s, std::initializer_list<const void*> memory) {
  return has_hopper_instructions(gpu) && s.C % 64 == 0 && s.K % 64 == 0 && s.stride <= 2 &&
         std::all_of(memory.begin(), memory.end(), [](const void* p) { return is_aligned(p, 16); });
}

int conv2d_moment_parts_wgmma(const Gpu&, const Conv2dShape& shape) {
  const Conv2dShape s = without_borders(shape);
  return Boxes(s.N, s.P(), s.Q(), WgmmaTile<64>::BM).count;
}

void conv2d_forward_wgmma(const Gpu& gpu,
                          const Conv2dShape& shape,
                          ConstView x,
                          ConstView w,
                          const Conv2dEpilogue& epilogue,
                          View y) {
  const Conv2dShape s = without_borders(shape);
  const auto forward = forward_product<bf16>(s, x, w, epilogue, y);
  with_tile(s.K, [&](auto tile) {
    using Tile = decltype(tile);
    const int taps = forward.a.taps;
    const ImageProduct product = {.a = PatchBoxes(forward.a, s.N, Tile::BM),
                                  .filters = ptx::make_tensor_map_2d(w.data, s.K, taps, taps * sizeof(bf16),
                                                                     Tile::BN, 64, ptx::Swizzle::bytes_128),
                                  .store = {.images = y.as<bf16>(),
                                            .H = s.P(),
                                            .W = s.Q(),
                                            .C = s.K,
                                            .bias = epilogue.bias,
                                            .residual = epilogue.residual.as<bf16>(),
                                            .relu = epilogue.relu},
                                  .moments = reinterpret_cast<Moments*>(epilogue.moments),
                                  .n_tiles = s.K / Tile::BN};
    launch(image_wgmma_kernel<Tile, true>, dim3(unsigned(product.a.boxes.count) * product.n_tiles),
           Tile::kThreads, Tile::kBytes, gpu, product);
  });
}

void conv2d_backward_data_wgmma(
    const Gpu& gpu, const Conv2dShape& shape, ConstView dy, ConstView w, View dx, ConstView others) {
  const Conv2dShape s = without_borders(shape);
  with_tile(s.C, [&](auto tile) {
    using Tile = decltype(tile);
    const int columns = s.R * s.S * s.C;
    for (int i = 0; i < s.stride * s.stride; ++i) {
      const auto phase = phase_product<bf16>(s, i / s.stride, i % s.stride, dy, w, dx, others);
      if (phase.M() == 0) continue;
      const int step = phase.b.step;
      const ImageProduct product = {
          .a = PatchBoxes(phase.a, s.N, Tile::BM),
          .filters = ptx::make_tensor_map_2d(w.data, s.K, columns, columns * sizeof(bf16), 64, 64,
                                             ptx::Swizzle::bytes_128),
          .store = {.images = dx.as<bf16>(),
                    .H = s.H,
                    .W = s.W,
                    .C = s.C,
                    .step = step,
                    .h0 = phase.store.h0,
                    .w0 = phase.store.w0,
                    .residual = phase.store.others},
          .moments = nullptr,
          .n_tiles = s.C / Tile::BN,
          .first_column = (phase.b.r0 * s.S + phase.b.s0) * s.C,
          .columns_r = step * s.S * s.C,
          .columns_s = step * s.C};
      launch(image_wgmma_kernel<Tile, false>, dim3(unsigned(product.a.boxes.count) * product.n_tiles),
             Tile::kThreads, Tile::kBytes, gpu, product);
    }
  });
}

void conv2d_backward_weight_wgmma(
    const Gpu& gpu, const Conv2dShape& shape, ConstView x, ConstView dy, float* dw) {
  const Conv2dShape s = without_borders(shape);
  const auto weight = weight_product<bf16>(s, x, dy);
  with_tile(s.K, [&](auto tile) {
    using Tile = decltype(tile);
    WeightBoxes product = {.a = PatchBoxes(weight.b, s.N, Tile::kDepth),
                           .dy = {},
                           .partials = dw,
                           .filters = s.K,
                           .n_tiles = s.K / Tile::BN,
                           .split = 0};
    const PatchBoxes& a = product.a;
    product.dy = ptx::make_tensor_map_4d(dy.data, s.N, s.P(), s.Q(), s.K, a.boxes.pixels(1));
    const unsigned tiles = unsigned(a.count + 1) / 2 * product.n_tiles;
    const std::int64_t size = std::int64_t(s.K) * weight.b.taps;
    const Cut cut = cut_into_runs(size, tiles, a.boxes.count);
    product.split = cut.length;
    if (cut.runs > 1) product.partials = static_cast<float*>(gpu.workspace(cut.runs * size * sizeof(float)));
    launch(weight_wgmma_kernel<Tile>, dim3(tiles, 1, cut.runs), Tile::kThreads, Tile::kBytes, gpu, product);
    if (cut.runs > 1) sum_runs(gpu, product.partials, size, cut.runs, dw);
  });
}

}  // namespace clx::kernels
