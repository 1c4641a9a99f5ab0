#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd.h"
#include "kernels/cpu/winograd_tiles.h"

namespace clx::kernels {
namespace {

using namespace winograd;

// Tiles whose sum is one addition to the result: enough to pay for it, few enough to lie in the caches.
// They depend on the shape alone, and so does the order of the sums.
constexpr std::int64_t kGroupFloats = 1 << 15;  // tiles · channels
constexpr std::int64_t kFewestTiles = 126, kMostTiles = 510;
constexpr std::int64_t kTilesPerChunk = 6;

std::int64_t tiles_per_group(std::int64_t tiles, int channels) {
  return std::min(tiles, std::clamp(kGroupFloats / channels, kFewestTiles, kMostTiles));
}

// dw = Gᵀ·D·G, D being the sums [point][filter][channel].
void transform_back(int C, const float* D, std::ptrdiff_t point, int k, float* dw) {
  for (int c = 0; c < C; c += kLanes)
    transform<kSpan, kTaps>(
        [](const Line<6>& u) { return filter_gradient_line(u); },
        [&](int i, int j) { return load(D + (i * kSpan + j) * point + std::ptrdiff_t(k) * C + c); },
        [&](int r, int s, Vec v) { store(dw + ((std::ptrdiff_t(k) * kTaps + r) * kTaps + s) * C + c, v); });
}

template <class T>
void backward_weight(const Cpu& backend, const Conv2dShape& shape, const T* x, const T* dy, float* dw) {
  const int C = shape.C, K = shape.K;
  const Images in{shape.N, shape.H, shape.W, C, shape.P(), shape.Q(), shape.padding};
  Images out = in;
  out.C = K;
  const std::int64_t group = tiles_per_group(in.tiles(), C + K);
  const PointMatrices V(group, C), Z(group, K);
  const auto floats = [&](std::size_t n) {
    return static_cast<float*>(backend.workspace(n * sizeof(float)));
  };
  float *const v = floats(V.numbers()), *const z = floats(Z.numbers());
  const std::ptrdiff_t point = static_cast<std::ptrdiff_t>(whole_rows(K)) * C + kLanes;
  float* const D = floats(static_cast<std::size_t>(point) * kPoints);
  const T* const zeros = zero_pixel<T>(backend, std::max(C, K));

  for (std::int64_t first = 0; first < in.tiles(); first += group) {
    const std::int64_t tiles = std::min(group, in.tiles() - first);
    parallel_ranges(tiles, kTilesPerChunk, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const Place at(in, first + t);
        transform_input(in, x, zeros, at, v + t * V.row, V.point);
        transform_gradient(out, dy, zeros, at, z + t * Z.row, Z.point);
      }
    });
    // D[point] += Zᵀ·V.
    parallel_for(kPoints, [&](std::int64_t i) {
      const TileFactor gradients{z + i * Z.point, 1, Z.row};
      if (first == 0)
        multiply_tile(K, C, static_cast<int>(tiles), gradients, v + i * V.point, V.row, D + i * point, C);
      else
        multiply_tile<true>(K, C, static_cast<int>(tiles), gradients, v + i * V.point, V.row, D + i * point,
                            C);
    });
  }
  parallel_for(K, [&](std::int64_t k) { transform_back(C, D, point, static_cast<int>(k), dw); });
}

}  // namespace

void winograd_backward_weight(
    const Cpu& backend, const Conv2dShape& s, ConstView x, ConstView dy, float* dw) {
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    backward_weight(backend, s, x.as<T>(), dy.as<T>(), dw);
  });
}

}  // namespace clx::kernels
