#include "kernels/cpu/winograd.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd_tiles.h"

namespace clx::kernels {
namespace {

using namespace winograd;

// A thread carries a chunk of tiles from images to images, so that what lies between stays in its caches:
// about as many tiles as fill them. How many changes no result, each of which is one sum over channels.
constexpr std::int64_t kChunkFloats = 1 << 18;
constexpr std::int64_t kFewestTiles = 24, kMostTiles = 72;
constexpr int kChannels = 128;  // summed in registers before they are added to a product: rounds less

std::int64_t tiles_per_chunk(std::int64_t tiles, int channels) {
  const std::int64_t most =
      std::clamp<std::int64_t>(kChunkFloats / (kPoints * channels), kFewestTiles, kMostTiles);
  const std::int64_t team = team_size();
  const std::int64_t chunks =
      ((tiles + most - 1) / most + team - 1) / team * team;  // as many for each thread
  return whole_rows((tiles + chunks - 1) / chunks);
}

// The 4×4 outputs of a tile, with the epilogue.
template <class T>
struct Output {
  const Images& s;  // of y: N, P, Q and the channels K
  int K;
  const Conv2dEpilogue& epilogue;
  T* y;

  void tile(const Place& at, const float* from, std::ptrdiff_t point) const {
    const int down = std::min(kTile, s.P - at.p), across = std::min(kTile, s.Q - at.q);
    const std::ptrdiff_t corner = ((at.n * s.P + at.p) * s.Q + at.q) * K;
    const auto* residual = epilogue.residual.as<T>();
    for (int k = 0; k < K; k += kLanes) {
      const Vec bias = epilogue.bias ? load(epilogue.bias + k) : Vec{};
      transform<kSpan, kTile>([](const Line<6>& m) { return output_line(m); },
                              [&](int i, int j) { return load(from + (i * kSpan + j) * point + k); },
                              [&](int i, int j, Vec v) {
                                if (i >= down || j >= across) return;
                                const std::ptrdiff_t place = corner + (std::ptrdiff_t(i) * s.Q + j) * K + k;
                                if (epilogue.bias) v += bias;
                                if (residual) v += load(residual + place);
                                if (epilogue.relu) v = relu(v);
                                store(y + place, v);
                              });
    }
  }
};

// y (N,P,Q,K) from x and filters at the points.
template <class T>
void convolve(const Cpu& backend,
              const Images& s,
              int K,
              const T* x,
              const float* U,
              const Conv2dEpilogue& epilogue,
              T* y) {
  const FilterPanels panels{s.C, K};
  const std::int64_t chunk_tiles = tiles_per_chunk(s.tiles(), s.C + K);
  const PointMatrices V(chunk_tiles, s.C), M(chunk_tiles, K);
  auto* scratch = static_cast<float*>(
      backend.workspace((V.floats() + M.floats()) * sizeof(float) * static_cast<std::size_t>(team_size())));
  const T* const zeros = zero_pixel<T>(backend, s.C);
  const Output<T> output{s, K, epilogue, y};
  parallel_ranges(s.tiles(), chunk_tiles, [&](std::int64_t begin, std::int64_t end) {
    float* const v = scratch + (V.floats() + M.floats()) * static_cast<std::size_t>(team_slot());
    float* const m = v + V.floats();
    for (std::int64_t t = begin; t < end; ++t)
      transform_input(s, x, zeros, Place(s, t), v + (t - begin) * V.row, V.point);
    const int tiles = static_cast<int>(end - begin);
    for (int point = 0; point < kPoints; ++point)
      for (int k = 0; k < K; k += FilterPanels::kWidth) {
        const int width = panels.width(k);
        const float* const u = U + panels.panel(point, k);
        float* const to = m + point * M.point + k;
        for (int c = 0; c < s.C; c += kChannels) {
          const auto multiply = c == 0 ? multiply_tile<false> : multiply_tile<true>;
          multiply(tiles, width, std::min(kChannels, s.C - c), {v + point * V.point + c, V.row, 1},
                   u + std::ptrdiff_t(c) * width, width, to, M.row);
        }
      }
    for (std::int64_t t = begin; t < end; ++t)
      output.tile(Place(s, t), m + (t - begin) * M.row, M.point);
  });
}

template <class T>
float* filters_at_points(const Cpu& backend, const Conv2dShape& s, bool forward, const T* w) {
  const FilterPanels panels{s.C, s.K};
  auto* U = static_cast<float*>(backend.workspace(panels.floats() * sizeof(float)));
  transform_filters(s.K, s.C, forward, w, U);
  return U;
}

}  // namespace

std::size_t winograd_prepared_bytes(const Conv2dShape& s) {
  return FilterPanels{s.C, s.K}.floats() * sizeof(float);
}

void winograd_prepare(const Conv2dShape& s, ConstView w, void* prepared) {
  with_float_type(w.dtype, [&](auto type) {
    transform_filters(s.K, s.C, true, w.as<decltype(type)>(), static_cast<float*>(prepared));
  });
}

void winograd_forward(const Cpu& backend,
                      const Conv2dShape& s,
                      ConstView x,
                      ConstView w,
                      const Conv2dEpilogue& epilogue,
                      View y,
                      const void* prepared) {
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    const float* U =
        prepared ? static_cast<const float*>(prepared) : filters_at_points(backend, s, true, w.as<T>());
    convolve(backend, {s.N, s.H, s.W, s.C, s.P(), s.Q(), s.padding}, s.K, x.as<T>(), U, epilogue, y.as<T>());
  });
}

void winograd_backward_data(const Cpu& backend, const Conv2dShape& s, ConstView dy, ConstView w, View dx) {
  with_float_type(dx.dtype, [&](auto type) {
    using T = decltype(type);
    convolve(backend, {s.N, s.P(), s.Q(), s.K, s.H, s.W, kTaps - 1 - s.padding}, s.C, dy.as<T>(),
             filters_at_points(backend, s, false, w.as<T>()), {}, dx.as<T>());
  });
}

}  // namespace clx::kernels
