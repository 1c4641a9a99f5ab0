#include "kernels/cpu/winograd_tiles.h"

#include <cstring>

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

// The kernels of both types.
#define CLX_WINOGRAD_OF(T)                                                                                \
  template void transform_input(const Images&, const T*, const T*, const Place&, float*, std::ptrdiff_t); \
  template void transform_gradient(const Images&, const T*, const T*, const Place&, float*, std::ptrdiff_t);
CLX_WINOGRAD_OF(float)
CLX_WINOGRAD_OF(bf16)
#undef CLX_WINOGRAD_OF

namespace {

constexpr float kLargest = 32767, kLargestSum = 65535;

/// ‖row of Bᵀ‖₁
constexpr float norm(int i) {
  if (i == 0 || i == kSpan - 1) return kA2 * kB2 + kA2 + kB2 + 1;
  return i < 3 ? (1 + kA) * (1 + kB2) : (1 + kB) * (1 + kA2);
}

// Of non-negative numbers the order of bf16 is that of their bits, infinity and NaN the largest.
float largest_of(const std::array<const bf16*, kPoints>& at, int first, int end, int pixel_size) {
  using Lanes = std::int16_t __attribute__((vector_size(2 * kLanes)));
  Lanes most{};
  for (const bf16* pixel : at)
    for (int c = first; c < end; c += kLanes) {
      __builtin_prefetch(pixel + c + kTile * pixel_size);  // of the next tile
      Lanes bits;
      std::memcpy(&bits, pixel + c, sizeof bits);
      bits &= 0x7fff;
      most = bits > most ? bits : most;
    }
  bf16 value;
  for (int lane = 0; lane < kLanes; ++lane)
    value.bits = std::max(value.bits, static_cast<std::uint16_t>(most[lane]));
  return static_cast<float>(value);
}

}  // namespace

template <>
void input_at_points(const Images& s,
                     const float* x,
                     const float* zeros,
                     const Place& at,
                     float* to,
                     std::ptrdiff_t point,
                     float*,
                     std::ptrdiff_t) {
  transform_input(s, x, zeros, at, to, point);
}
template <>
void input_at_points(const Images& s,
                     const bf16* x,
                     const bf16* zeros,
                     const Place& at,
                     Pair* to,
                     std::ptrdiff_t point,
                     float* unit,
                     std::ptrdiff_t units) {
  constexpr float kSmallest = 1e-30f;  // its inverse is finite
  const auto from =
      pixels<kSpan>(s.H, s.W, s.C, x + at.n * s.H * s.W * s.C, at.p - s.padding, at.q - s.padding, zeros);
  auto* const integers = reinterpret_cast<std::int16_t*>(to);
  for (int first = 0; first < s.C; first += kSummed<bf16>, unit += units) {
    const int end = std::min(s.C, first + kSummed<bf16>);
    const float largest = largest_of(from, first, end, s.C);
    *unit = largest < kSmallest ? kSmallest : largest;
    float per_unit[kSpan][kSpan];
    for (int i = 0; i < kSpan; ++i)
      for (int j = 0; j < kSpan; ++j)
        per_unit[i][j] = kLargest / (norm(i) * norm(j)) / *unit;
    for (int c = first; c < end; c += kLanes)
      transform<kSpan, kSpan>([](const Line<6>& d) { return input_line(d); },
                              [&](int i, int j) { return load(from[i * kSpan + j] + c); },
                              [&](int i, int j, Vec v) {
                                store_rounded(integers + 2 * (i * kSpan + j) * point + c, v * per_unit[i][j]);
                              });
  }
}

// ------------------------------------------------------------------------------------------- filters

namespace {

const auto to_points = [](const Line<3>& w) { return filter_line(w); };

// put(point, k, v) for all filters k, whose kLanes columns are the input channels from c.
template <class T, class Put>
void transform_for_data(int K, int C, const T* w, int c, Put&& put) {
  for (int k = 0; k < K; ++k) {
    const T* from = w + std::ptrdiff_t(k) * kTaps * kTaps * C + c;
    transform<kTaps, kSpan>(
        to_points, [&](int r, int s) { return load(from + ((2 - r) * kTaps + 2 - s) * C); },
        [&](int i, int j, Vec v) { put(i * kSpan + j, k, v); });
  }
}

// put(point, c, v) for all channels c, whose kLanes columns are the filters from k: squares of kLanes of them
// and kLanes channels are transposed.
template <class T, class Put>
void transform_for_forward(int C, const T* w, int k, Put&& put) {
  alignas(64) float square[kTaps * kTaps][kLanes * kLanes];  // [tap][channel][filter]
  for (int c0 = 0; c0 < C; c0 += kLanes) {
    for (int tap = 0; tap < kTaps * kTaps; ++tap)
      transpose_square(w + (std::ptrdiff_t(k) * kTaps * kTaps + tap) * C + c0,
                       std::ptrdiff_t(kTaps) * kTaps * C, square[tap], kLanes);
    for (int c = 0; c < kLanes; ++c)
      transform<kTaps, kSpan>(
          to_points, [&](int r, int s) { return load(square[r * kTaps + s] + c * kLanes); },
          [&](int i, int j, Vec v) { put(i * kSpan + j, c0 + c, v); });
  }
}

Vec largest(Vec a, Vec b) {
  return a > b ? a : b;
}
Vec absolute(Vec v) {
  return largest(v, -v);
}

// A block of channels of kLanes columns at one point becomes integers: pairs of rows to panel, the columns'
// units to unit.
void quantize(int point, int rows, const float* from, Pair* panel, std::ptrdiff_t panel_row, float* unit) {
  constexpr float kSmallest = 1e-34f;  // its inverse is finite
  Vec most{}, sum{};
  for (int row = 0; row < rows; ++row) {
    const Vec size = absolute(load(from + std::ptrdiff_t(row) * kLanes));
    most = largest(most, size);
    sum += size;
  }
  // Rounding adds at most a half to each; sum − sum is NaN if one is not finite.
  constexpr float kLargestExactSum = kLargestSum - kSummed<bf16> / 2.0f;
  const Vec u = largest(largest(sum / kLargestExactSum, most / kLargest), broadcast(kSmallest)) + (sum - sum);
  const Vec per_unit = 1.0f / u;
  for (int row = 0; row < rows; row += 2) {
    alignas(64) std::int16_t first[kLanes], second[kLanes];
    store_rounded(first, load(from + std::ptrdiff_t(row) * kLanes) * per_unit);
    store_rounded(second, load(from + std::ptrdiff_t(row + 1) * kLanes) * per_unit);
    Pair* const to = panel + row / 2 * panel_row;
    for (int lane = 0; lane < kLanes; ++lane)
      to[lane] =
          static_cast<Pair>(static_cast<std::uint16_t>(first[lane]) |
                            static_cast<std::uint32_t>(static_cast<std::uint16_t>(second[lane])) << 16);
  }
  store(unit, u * (norm(point / kSpan) * norm(point % kSpan) / kLargest));
}

}  // namespace

template <class T>
void transform_filters(const Cpu& backend, int K, int C, bool forward, const T* w, void* U) {
  const FiltersAtPoints<T> filters(K, C, forward);
  const FilterPanels& panels = filters.panels;
  auto* const numbers = static_cast<Number<T>*>(U);
  const auto each_row = [&](int column, auto&& put) {
    if (forward)
      transform_for_forward(C, w, column, put);
    else
      transform_for_data(K, C, w, column, put);
  };
  const std::size_t block =
      kChannelsOf<T> == 1 ? 0 : static_cast<std::size_t>(kPoints) * filters.channels * kLanes;
  [[maybe_unused]] auto* const scratch =
      static_cast<float*>(backend.workspace(block * sizeof(float) * static_cast<std::size_t>(team_size())));
  parallel_for(panels.columns / kLanes, [&](std::int64_t i) {
    const int column = static_cast<int>(i) * kLanes,
              first = column / FilterPanels::kWidth * FilterPanels::kWidth;
    const int width = panels.width(first);
    const auto panel = [&](int point) { return numbers + panels.panel(point, first) + column - first; };
    if constexpr (std::is_same_v<T, bf16>) {
      const int rows = filters.channels;
      float* const exact = scratch + static_cast<std::size_t>(team_slot()) * block;
      const auto at_point = [&](int point, int row) {
        return exact + (std::ptrdiff_t(point) * rows + row) * kLanes;
      };
      each_row(column, [&](int point, int row, Vec v) { store(at_point(point, row), v); });
      for (int point = 0; point < kPoints; ++point)
        for (int row = 0; row < rows; row += kSummed<T>)
          quantize(point, std::min(kSummed<T>, rows - row), at_point(point, row),
                   panel(point) + row / 2 * width, width,
                   static_cast<float*>(U) + filters.unit(row / kSummed<T>, point, column));
    } else {
      each_row(column,
               [&](int point, int row, Vec v) { store(panel(point) + std::ptrdiff_t(row) * width, v); });
    }
  });
}
template void transform_filters(const Cpu&, int, int, bool, const float*, void*);
template void transform_filters(const Cpu&, int, int, bool, const bf16*, void*);

}  // namespace clx::kernels::winograd
