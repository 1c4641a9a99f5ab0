#include "kernels/cpu/taps.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile_product.h"

namespace clx::kernels {
namespace {

// Output positions whose products are summed in registers before they are added to the result: they depend on
// nothing, and so the order of the sums is fixed.
constexpr std::int64_t kGroup = 256;
constexpr std::int64_t kPositionsPerChunk = 16;
constexpr int kFilters = 96;  // of one chunk of the products

// Rows of a group of positions as f32, one matrix for each tap. Rows are no multiples of large powers of two
// apart, which would share few places of a cache; products read up to kBlockRows − 1 columns too many.
struct Rows {
  std::ptrdiff_t row, matrix;
  explicit Rows(int columns) : row((columns + kLanes - 1) / kLanes * kLanes + kLanes), matrix(row * kGroup) {}
};

template <class T>
void copy_row(int n, const T* from, float* to) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes)
    store(to + i, load(from + i));
  for (; i < n; ++i)
    to[i] = static_cast<float>(from[i]);
}

// What each tap sees at an output position: a pixel, or zeros outside the image.
template <class T>
void gather(const Conv2dShape& s, const T* x, std::int64_t position, float* to, std::ptrdiff_t matrix) {
  const int q = static_cast<int>(position % s.Q()), p = static_cast<int>(position / s.Q() % s.P());
  const T* const image = x + position / (s.P() * s.Q()) * s.H * s.W * s.C;
  for (int r = 0; r < s.R; ++r)
    for (int t = 0; t < s.S; ++t, to += matrix) {
      const int h = p * s.stride + r - s.padding, w = q * s.stride + t - s.padding;
      if (h >= 0 && h < s.H && w >= 0 && w < s.W)
        copy_row(s.C, image + (std::ptrdiff_t(h) * s.W + w) * s.C, to);
      else
        std::fill_n(to, s.C, 0.0f);
    }
}

template <class T>
void backward_weight(const Cpu& backend, const Conv2dShape& s, const T* x, const T* dy, float* dw) {
  const int taps = s.R * s.S;
  const std::int64_t positions = std::int64_t(s.N) * s.P() * s.Q();
  const Rows of_x(s.C), of_dy(s.K);
  const auto floats = [&](std::ptrdiff_t n) {
    return static_cast<float*>(backend.workspace(static_cast<std::size_t>(n) * sizeof(float)));
  };
  float *const pixels = floats(of_x.matrix * taps), *const gradients = floats(of_dy.matrix);
  // Products fill whole blocks of filters: the last may exceed dw.
  const std::int64_t slices = (s.K + kFilters - 1) / kFilters;
  const std::ptrdiff_t filter = std::ptrdiff_t(taps) * s.C;
  float* const sums = s.K % kBlockRows == 0 ? dw : floats((s.K + kBlockRows) * filter);

  for (std::int64_t first = 0; first < positions; first += kGroup) {
    const std::int64_t count = std::min(kGroup, positions - first);
    parallel_ranges(count, kPositionsPerChunk, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        gather(s, x, first + i, pixels + i * of_x.row, of_x.matrix);
        copy_row(s.K, dy + (first + i) * s.K, gradients + i * of_dy.row);
      }
    });
    parallel_for(taps * slices, [&](std::int64_t i) {
      const std::int64_t tap = i / slices, k = i % slices * kFilters;
      const auto multiply = first == 0 ? multiply_tile<false> : multiply_tile<true>;
      multiply(static_cast<int>(std::min<std::int64_t>(kFilters, s.K - k)), s.C, static_cast<int>(count),
               {gradients + k, 1, of_dy.row}, pixels + tap * of_x.matrix, of_x.row,
               sums + k * filter + tap * s.C, filter);
    });
  }
  if (sums == dw) return;
  parallel_ranges(s.K, kFilters, [&](std::int64_t begin, std::int64_t end) {
    std::copy(sums + begin * filter, sums + end * filter, dw + begin * filter);
  });
}

}  // namespace

bool taps_compute_weight(const Conv2dShape& s, DType dtype) {
  const bool small_image = s.P() * s.Q() <= 16;
  if (s.R * s.S == 1 || s.C % kLanes != 0 || std::min(s.C, s.K) < 64) return false;
  return dtype == DType::f32 ? s.stride > 1 || small_image : s.stride > 1 && small_image;
}

void taps_backward_weight(const Cpu& backend, const Conv2dShape& s, ConstView x, ConstView dy, float* dw) {
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    backward_weight(backend, s, x.as<T>(), dy.as<T>(), dw);
  });
}

}  // namespace clx::kernels
