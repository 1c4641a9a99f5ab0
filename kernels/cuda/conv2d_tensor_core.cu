// What: the products of conv2d_operands.cuh on the tensor cores.
// Who: the grid covers the result with tiles of 128×128, 128×64 or 64×64, filters (or channels) fastest;
//   dx: blockIdx.z is a phase; dw: blockIdx.z is a run of positions, added up by a second kernel. A block is
//   four warps of 64×64, 64×32 or 32×32 results; each walks over k, 16 bf16 or 8 f32 per instruction; a
//   thread holds two rows and two columns of each 16×8 results.
// Where: three stages of two tiles (8 or 4 KiB each: 48, 36 or 24 KiB), filled by 16-byte asynchronous copies
//   two steps ahead; padding and tails are copies of no bytes, which write zeros. Channel counts that no
//   chunk of 16 bytes divides (the first layer's 3) are loaded element by element.
// Limit: tensor cores where a tile reuses its factors enough (bf16, a warp of 64×64: 16 multiply-adds per
//   byte read from shared memory); memory for 1×1 filters and for few channels.
#include "kernels/cuda/conv2d_tensor_core.h"

#include <cstdint>

#include "kernels/cuda/conv2d_operands.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/sum_runs.cuh"
#include "kernels/cuda/tile_tensor_core.cuh"

namespace clx::kernels {
namespace {

template <class Tile, bool kChunks, class T>
__global__ void __launch_bounds__(Tile::kThreads)
    forward_kernel(const __grid_constant__ ForwardProduct<T> product, int n_tiles) {
  const int m0 = blockIdx.x / n_tiles * Tile::BM, n0 = blockIdx.x % n_tiles * Tile::BN;
  multiply_tile_tensor_core<Tile, kChunks>(product.a, product.b, m0, n0, 0, product.a.taps, product.store);
}

template <class Tile, bool kChunks, class T>
__global__ void __launch_bounds__(Tile::kThreads)
    backward_data_kernel(const __grid_constant__ Phases<T> phases, int n_tiles) {
  const PhaseProduct<T>& product = phases.phase[blockIdx.z];
  const int m0 = blockIdx.x / n_tiles * Tile::BM, n0 = blockIdx.x % n_tiles * Tile::BN;
  if (m0 >= product.a.positions) return;  // the whole block: this phase is smaller than the largest
  multiply_tile_tensor_core<Tile, kChunks>(product.a, product.b, m0, n0, 0, product.a.taps, product.store);
}

template <class Tile, bool kChunks, class T>
__global__ void __launch_bounds__(Tile::kThreads)
    backward_weight_kernel(const __grid_constant__ WeightProduct<T> product, int n_tiles) {
  const int m0 = blockIdx.x / n_tiles * Tile::BM, n0 = blockIdx.x % n_tiles * Tile::BN;
  const int begin = blockIdx.z * product.split, end = min(product.positions, begin + product.split);
  multiply_tile_tensor_core<Tile, kChunks>(product.a, product.b, m0, n0, begin, end,
                                           product.store(blockIdx.z));
}

/// Calls f(tile, chunks) with the largest tile that fills a GPU. The choice changes no bit of a result: all
/// tiles add in the same order.
template <class F>
void with_tile(std::int64_t M, std::int64_t N, bool chunks, F&& f) {
  if (!chunks)
    f(SmallTile{}, std::false_type{});
  else if (N > 64 && count_tiles(M, N, 128, 128) >= kFillsGpu)
    f(LargeTile{}, std::true_type{});
  else if (count_tiles(M, N, 128, 64) >= kFillsGpu)
    f(MediumTile{}, std::true_type{});
  else
    f(SmallTile{}, std::true_type{});
}

}  // namespace

void conv2d_forward_tensor_core(
    const Gpu& gpu, const Conv2dShape& s, ConstView x, ConstView w, const Conv2dEpilogue& epilogue, View y) {
  with_float_type(x.dtype, [&](auto element) {
    using T = decltype(element);
    const auto product = forward_product<T>(s, x, w, epilogue, y);
    const std::int64_t M = product.M(), N = product.N();
    const bool chunks = divides<T>(s.C, x.data) && divides<T>(s.C, w.data);
    with_tile(M, N, chunks, [&](auto tile, auto by_chunks) {
      using Tile = decltype(tile);
      launch(forward_kernel<Tile, by_chunks, T>, dim3(count_tiles(M, N, Tile::BM, Tile::BN)), Tile::kThreads,
             Tile::kBytes, gpu, product, static_cast<int>(ceil_div(N, Tile::BN)));
    });
  });
}

void conv2d_backward_data_tensor_core(
    const Gpu& gpu, const Conv2dShape& s, ConstView dy, ConstView w, View dx, ConstView others) {
  with_float_type(dy.dtype, [&](auto element) {
    using T = decltype(element);
    const bool chunks = divides<T>(s.K, dy.data) && divides<T>(s.C, w.data);
    for_each_phases<T>(s, dy, w, dx, others, [&](const Phases<T>& phases) {
      const std::int64_t M = phases.M, N = s.C;
      with_tile(M * phases.count, N, chunks, [&](auto tile, auto by_chunks) {
        using Tile = decltype(tile);
        launch(backward_data_kernel<Tile, by_chunks, T>,
               dim3(count_tiles(M, N, Tile::BM, Tile::BN), 1, phases.count), Tile::kThreads, Tile::kBytes,
               gpu, phases, static_cast<int>(ceil_div(N, Tile::BN)));
      });
    });
  });
}

void conv2d_backward_weight_tensor_core(
    const Gpu& gpu, const Conv2dShape& s, ConstView x, ConstView dy, float* dw) {
  with_float_type(x.dtype, [&](auto element) {
    using T = decltype(element);
    auto product = weight_product<T>(s, x, dy);
    const std::int64_t M = product.M(), N = product.N();
    const bool chunks = divides<T>(s.K, dy.data) && divides<T>(s.C, x.data);
    const auto run = [&](auto tile, auto by_chunks) {
      using Tile = decltype(tile);
      const std::int64_t tiles = count_tiles(M, N, Tile::BM, Tile::BN);
      const int runs = product.cut(tiles, kTensorCoreK<T>);
      product.partials = runs == 1 ? dw : static_cast<float*>(gpu.workspace(runs * M * N * sizeof(float)));
      launch(backward_weight_kernel<Tile, by_chunks, T>, dim3(tiles, 1, runs), Tile::kThreads, Tile::kBytes,
             gpu, product, static_cast<int>(ceil_div(N, Tile::BN)));
      if (runs > 1) sum_runs(gpu, product.partials, M * N, runs, dw);
    };
    // The runs bring the blocks: the largest tile that the result fills, not the GPU.
    if (!chunks)
      run(SmallTile{}, std::false_type{});
    else if (M > 64 && N > 64)
      run(LargeTile{}, std::true_type{});
    else
      run(SmallTile{}, std::true_type{});
  });
}

}  // namespace clx::kernels
