#include "kernels/cpu/winograd_tiles.h"

#include "kernels/cpu/parallel.h"

namespace clx::kernels::winograd {
namespace {

// Where the pixels of a window of n×n from (h,w) begin; those outside the image are zeros.
template <int n, class T>
std::array<const T*, n * n> pixels(int H, int W, int C, const T* image, int h, int w, const T* zeros) {
  std::array<const T*, n * n> at;
  for (int i = 0; i < n; ++i) {
    const bool row = h + i >= 0 && h + i < H;
    const T* const from = image + (std::ptrdiff_t(h + i) * W + w) * C;
    for (int j = 0; j < n; ++j)
      at[i * n + j] = row && w + j >= 0 && w + j < W ? from + std::ptrdiff_t(j) * C : zeros;
  }
  return at;
}

template <int from, class T, class Map>
void transform_window(
    const std::array<const T*, from * from>& at, int C, Map&& map, float* out, std::ptrdiff_t point) {
  for (int c = 0; c < C; c += kLanes)
    transform<from, kSpan>(
        map, [&](int i, int j) { return load(at[i * from + j] + c); },
        [&](int i, int j, Vec v) { store(out + (i * kSpan + j) * point + c, v); });
}

}  // namespace

template <class T>
void transform_input(
    const Images& s, const T* x, const T* zeros, const Place& at, float* to, std::ptrdiff_t point) {
  transform_window<kSpan>(
      pixels<kSpan>(s.H, s.W, s.C, x + at.n * s.H * s.W * s.C, at.p - s.padding, at.q - s.padding, zeros),
      s.C, [](const Line<6>& d) { return input_line(d); }, to, point);
}

template <class T>
void transform_gradient(
    const Images& s, const T* dy, const T* zeros, const Place& at, float* to, std::ptrdiff_t point) {
  transform_window<kTile>(
      pixels<kTile>(s.P, s.Q, s.C, dy + at.n * s.P * s.Q * s.C, at.p, at.q, zeros), s.C,
      [](const Line<4>& g) { return gradient_line(g); }, to, point);
}

namespace {

const auto to_points = [](const Line<3>& w) { return filter_line(w); };

// Columns are the filters' input channels, which lie side by side in memory.
template <class T>
void transform_for_data(const FilterPanels& panels, const T* w, int k, float* U) {
  const int C = panels.columns;
  for (int c = 0; c < C; c += kLanes) {
    const int first = c / FilterPanels::kWidth * FilterPanels::kWidth, width = panels.width(first);
    float* to = U + panels.panel(0, first) + std::ptrdiff_t(k) * width + c - first;
    const T* from = w + std::ptrdiff_t(k) * kTaps * kTaps * C + c;
    transform<kTaps, kSpan>(
        to_points, [&](int r, int s) { return load(from + ((2 - r) * kTaps + 2 - s) * C); },
        [&](int i, int j, Vec v) { store(to + panels.panel(i * kSpan + j, 0), v); });
  }
}

// Columns are the filters: squares of kLanes of them and kLanes channels are transposed.
template <class T>
void transform_for_forward(const FilterPanels& panels, const T* w, int k, float* U) {
  const int C = panels.rows;
  const int first = k / FilterPanels::kWidth * FilterPanels::kWidth, width = panels.width(first);
  alignas(64) float square[kTaps * kTaps][kLanes * kLanes];  // [tap][channel][filter]
  for (int c0 = 0; c0 < C; c0 += kLanes) {
    for (int tap = 0; tap < kTaps * kTaps; ++tap)
      transpose_square(w + (std::ptrdiff_t(k) * kTaps * kTaps + tap) * C + c0,
                       std::ptrdiff_t(kTaps) * kTaps * C, square[tap], kLanes);
    for (int c = 0; c < kLanes; ++c) {
      float* to = U + panels.panel(0, first) + std::ptrdiff_t(c0 + c) * width + k - first;
      transform<kTaps, kSpan>(
          to_points, [&](int r, int s) { return load(square[r * kTaps + s] + c * kLanes); },
          [&](int i, int j, Vec v) { store(to + panels.panel(i * kSpan + j, 0), v); });
    }
  }
}

}  // namespace

template <class T>
void transform_filters(int K, int C, bool forward, const T* w, float* U) {
  if (forward) {
    const FilterPanels panels{C, K};
    parallel_for(K / kLanes,
                 [&](std::int64_t i) { transform_for_forward(panels, w, static_cast<int>(i) * kLanes, U); });
  } else {
    const FilterPanels panels{K, C};
    parallel_ranges(K, kLanes, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k)
        transform_for_data(panels, w, static_cast<int>(k), U);
    });
  }
}

// The kernels of both types.
#define CLX_WINOGRAD_OF(T)                                                                                   \
  template void transform_input(const Images&, const T*, const T*, const Place&, float*, std::ptrdiff_t);    \
  template void transform_gradient(const Images&, const T*, const T*, const Place&, float*, std::ptrdiff_t); \
  template void transform_filters(int, int, bool, const T*, float*);
CLX_WINOGRAD_OF(float)
CLX_WINOGRAD_OF(bf16)
#undef CLX_WINOGRAD_OF

}  // namespace clx::kernels::winograd
