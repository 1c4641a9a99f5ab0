#include "kernels/cpu/winograd.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd_tiles.h"

namespace clx::kernels {
namespace {

using namespace winograd;

// A thread carries a chunk of tiles from images to images: so many that the filters, which it reads for each
// chunk, cost little, and few enough that what lies between stays in its caches. How many changes no result,
// each of which is one sum over channels.
constexpr std::int64_t kMostTiles = 72;

std::int64_t tiles_per_chunk(std::int64_t tiles) {
  const std::int64_t team = team_size();
  const std::int64_t chunks =
      ((tiles + kMostTiles - 1) / kMostTiles + team - 1) / team * team;  // as many for each thread
  return whole_rows((tiles + chunks - 1) / chunks);
}

// The 4×4 outputs of a tile, with the epilogue.
template <class T>
struct Output {
  const Images& s;  // of y: N, P, Q and the channels K
  int K;
  const Conv2dEpilogue& epilogue;
  T* y;

  /// Channels first … end − 1 of a tile, whose products begin at `from`.
  void tile(const Place& at, int first, int end, const float* from, std::ptrdiff_t point) const {
    const int down = std::min(kTile, s.P - at.p), across = std::min(kTile, s.Q - at.q);
    const std::ptrdiff_t corner = ((at.n * s.P + at.p) * s.Q + at.q) * K, row = std::ptrdiff_t(s.Q) * K,
                         pixel = K;
    const float* const bias = epilogue.bias;
    const auto* const residual = epilogue.residual.as<T>();
    const bool relu_last = epilogue.relu;
    T* const to = y;
    for (int k = first; k < end; k += kLanes, from += kLanes) {
      const Vec b = bias ? load(bias + k) : Vec{};
      transform<kSpan, kTile>([](const Line<6>& m) { return output_line(m); },
                              [=](int i, int j) { return load(from + (i * kSpan + j) * point); },
                              [=](int i, int j, Vec v) {
                                if (i >= down || j >= across) return;
                                const std::ptrdiff_t place = corner + i * row + j * pixel + k;
                                if (bias) v += b;
                                if (residual) v += load(residual + place);
                                if (relu_last) v = relu(v);
                                store(to + place, v);
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
              const FiltersAtPoints<T>& filters,
              const void* U,
              const Conv2dEpilogue& epilogue,
              T* y) {
  const FilterPanels& panels = filters.panels;
  const int widest = panels.width(0);
  const std::int64_t chunk_tiles = tiles_per_chunk(s.tiles());
  const PointMatrices V(chunk_tiles, panels.rows), M(chunk_tiles, widest);
  const std::size_t units = static_cast<std::size_t>(chunk_tiles * blocks(s.C, kSummed<T>));
  const std::size_t numbers = (V.numbers() + M.numbers() + units + kLanes - 1) / kLanes * kLanes;
  auto* scratch =
      static_cast<float*>(backend.workspace(numbers * sizeof(float) * static_cast<std::size_t>(team_size())));
  const T* const zeros = zero_pixel<T>(backend, s.C);
  const Output<T> output{s, K, epilogue, y};
  parallel_ranges(s.tiles(), chunk_tiles, [&](std::int64_t begin, std::int64_t end) {
    float* const own = scratch + numbers * static_cast<std::size_t>(team_slot());
    auto* const v = reinterpret_cast<Number<T>*>(own);
    float *const m = own + V.numbers(), *const unit = m + M.numbers();
    for (std::int64_t t = begin; t < end; ++t)
      input_at_points(s, x, zeros, Place(s, t), v + (t - begin) * V.row, V.point, unit + (t - begin),
                      chunk_tiles);
    const int tiles = static_cast<int>(end - begin);
    for (int k = 0; k < K; k += FilterPanels::kWidth) {
      const int width = panels.width(k);
      for (int point = 0; point < kPoints; ++point) {
        const Number<T>* const u = static_cast<const Number<T>*>(U) + panels.panel(point, k);
        for (int c = 0; c < s.C; c += kSummed<T>) {
          const int channels = std::min(kSummed<T>, s.C - c), block = c / kSummed<T>,
                    row = c / kChannelsOf<T>;
          const Number<T>* const rows_of_v = v + point * V.point + row;
          const Number<T>* const rows_of_u = u + std::ptrdiff_t(row) * width;
          float* const to = m + point * M.point;
          if constexpr (std::is_same_v<T, bf16>)
            (c == 0 ? multiply_pairs<false>
                    : multiply_pairs<true>)(tiles, width, channels / 2, rows_of_v, V.row,
                                            unit + block * chunk_tiles, rows_of_u, width,
                                            static_cast<const float*>(U) + filters.unit(block, point, k), to,
                                            M.row);
          else
            (c == 0 ? multiply_tile<false> : multiply_tile<true>)(tiles, width, channels,
                                                                  {rows_of_v, V.row, 1}, rows_of_u, width, to,
                                                                  M.row);
        }
      }
      for (std::int64_t t = begin; t < end; ++t)
        output.tile(Place(s, t), k, k + width, m + (t - begin) * M.row, M.point);
    }
  });
}

template <class T>
const void* filters_at_points(const Cpu& backend, const Conv2dShape& s, bool forward, const T* w) {
  void* U = backend.workspace(FiltersAtPoints<T>(s.K, s.C, forward).bytes());
  transform_filters(backend, s.K, s.C, forward, w, U);
  return U;
}

}  // namespace

std::size_t winograd_prepared_bytes(const Conv2dShape& s, DType dtype) {
  return dtype == DType::bf16 ? FiltersAtPoints<bf16>(s.K, s.C, true).bytes()
                              : FiltersAtPoints<float>(s.K, s.C, true).bytes();
}

void winograd_prepare(const Cpu& backend, const Conv2dShape& s, ConstView w, void* prepared) {
  with_float_type(w.dtype, [&](auto type) {
    transform_filters(backend, s.K, s.C, true, w.as<decltype(type)>(), prepared);
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
    convolve(backend, {s.N, s.H, s.W, s.C, s.P(), s.Q(), s.padding}, s.K, x.as<T>(),
             FiltersAtPoints<T>(s.K, s.C, true),
             prepared ? prepared : filters_at_points(backend, s, true, w.as<T>()), epilogue, y.as<T>());
  });
}

void winograd_backward_data(
    const Cpu& backend, const Conv2dShape& s, ConstView dy, ConstView w, View dx, ConstView others) {
  with_float_type(dx.dtype, [&](auto type) {
    using T = decltype(type);
    convolve(backend, {s.N, s.P(), s.Q(), s.K, s.H, s.W, kTaps - 1 - s.padding}, s.C, dy.as<T>(),
             FiltersAtPoints<T>(s.K, s.C, false), filters_at_points(backend, s, false, w.as<T>()),
             {.bias = nullptr, .residual = others}, dx.as<T>());
  });
}

}  // namespace clx::kernels
