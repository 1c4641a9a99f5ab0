// A map is one thread's. Products and sums are rounded one by one, as OpenCV rounds them, so that pixels that
// are equal there are equal here.
#include "kernels/cam.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/bilinear.h"
#include "kernels/cpu/doubles.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

#pragma GCC optimize("fp-contract=off")

namespace clx::kernels {
namespace {

constexpr float kEpsilon = 1e-7f;

// What all maps of a call share.
struct Taps {
  const BilinearTap *rows, *columns;
};

Taps make_taps(const Cpu& backend, const CamShape& s) {
  const auto H = static_cast<std::size_t>(s.H), W = static_cast<std::size_t>(s.W);
  auto* taps = static_cast<BilinearTap*>(backend.workspace((H + W) * sizeof(BilinearTap)));
  for (int i = 0; i < s.H; ++i)
    taps[i] = bilinear_tap(s.h, s.H, i, false);
  for (int j = 0; j < s.W; ++j)
    taps[s.H + j] = bilinear_tap(s.w, s.W, j, true);
  return {taps, taps + s.H};
}

struct Range {
  float least, largest;
  bool finite = true;  // no NaN
};

// small = (p − min p)/(1e-7 + max p − min p), p = max(raw, 0)
Range normalize_raw(int n, const float* raw, float* small) {
  Range range{std::numeric_limits<float>::infinity(), 0};
  for (int i = 0; i < n; ++i) {
    const float p = raw[i] < 0 ? 0 : raw[i];
    range.finite = range.finite && !std::isnan(p);
    range.least = std::min(range.least, p);
    range.largest = std::max(range.largest, p);
    small[i] = p;
  }
  const float divisor = kEpsilon + (range.largest - range.least);
  for (int i = 0; i < n; ++i)
    small[i] = (small[i] - range.least) / divisor;
  return range;
}

// y = upper·(1 − a) + lower·a; brings least and largest up to date.
void blend(int n, const float* upper, const float* lower, float a, float* y, Vec* least, Vec* largest) {
  const Vec w1 = broadcast(a), w0 = broadcast(1 - a);
  for (int j = 0; j < n; j += kLanes) {
    const int count = std::min(kLanes, n - j);
    const Vec v = load(upper + j) * w0 + load(lower + j) * w1;
    if (count == kLanes) {
      store(y + j, v);
      *least = v < *least ? v : *least;
      *largest = v > *largest ? v : *largest;
    } else {
      store_first(y + j, v, count);
      for (int lane = 0; lane < count; ++lane) {
        (*least)[0] = std::min<float>((*least)[0], v[lane]);
        (*largest)[0] = std::max<float>((*largest)[0], v[lane]);
      }
    }
  }
}

void normalize(std::int64_t n, float least, float divisor, float* map) {
  const Vec low = broadcast(least), d = broadcast(divisor);
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    store(map + i, (load(map + i) - low) / d);
  for (; i < n; ++i)
    map[i] = (map[i] - least) / divisor;
}

std::size_t padded(int n) {
  return static_cast<std::size_t>((n + kLanes - 1) / kLanes * kLanes);
}

std::size_t room_of(const CamShape& s) {
  return padded(s.h * s.w) + static_cast<std::size_t>(s.h) * padded(s.W);
}

// `room` has h·w floats for the normalised raw map, then h rows of W, rounded up to whole vectors.
void finish(
    const CamShape& s, const Taps& taps, const float* raw, float* room, float* map, std::uint8_t* zero) {
  const std::int64_t pixels = static_cast<std::int64_t>(s.H) * s.W;
  const std::size_t stride = padded(s.W);
  float *small = room, *wide = room + padded(s.h * s.w);
  const Range range = normalize_raw(s.h * s.w, raw, small);
  *zero = range.finite && !(range.largest > 0);
  if (!range.finite) {
    std::fill_n(map, pixels, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  for (int i = 0; i < s.h; ++i)
    for (int j = 0; j < s.W; ++j) {
      const BilinearTap& tap = taps.columns[j];
      wide[static_cast<std::size_t>(i) * stride + static_cast<std::size_t>(j)] =
          small[i * s.w + tap.s] * (1 - tap.a) + small[i * s.w + tap.next] * tap.a;
    }
  Vec least = broadcast(std::numeric_limits<float>::infinity()), largest = -least;
  for (int i = 0; i < s.H; ++i) {
    const BilinearTap& tap = taps.rows[i];
    blend(s.W, wide + static_cast<std::size_t>(tap.s) * stride,
          wide + static_cast<std::size_t>(tap.next) * stride, tap.a,
          map + static_cast<std::ptrdiff_t>(i) * s.W, &least, &largest);
  }
  float low = least[0], high = largest[0];
  for (int lane = 1; lane < kLanes; ++lane) {
    low = std::min<float>(low, least[lane]);
    high = std::max<float>(high, largest[lane]);
  }
  normalize(pixels, low, kEpsilon + (high - low), map);
}

// f(n, room) for every map on some thread, whose memory `room` is.
template <class F>
void for_maps(const Cpu& backend, const CamShape& s, F&& f) {
  const std::size_t room = room_of(s), bytes = static_cast<std::size_t>(team_size()) * room * sizeof(float);
  auto* memory = static_cast<float*>(backend.workspace(bytes));
  std::memset(memory, 0, bytes);
  parallel_for(s.N, [&](std::int64_t n) { f(n, memory + static_cast<std::size_t>(team_slot()) * room); });
}

template <class T>
float weighted_sum(int C, const float* alpha, const T* x) {
  Doubles sum = {};
  int k = 0;
  for (; k + kDoubles <= C; k += kDoubles)
    sum += load_doubles(alpha + k) * load_doubles(x + k);
  if (k < C) sum += load_first_doubles(alpha + k, C - k) * load_first_doubles(x + k, C - k);
  return static_cast<float>(sum_of_lanes(sum));
}

}  // namespace

void finish_cam(const Cpu& backend, const CamShape& s, const float* raw, float* map, std::uint8_t* zero) {
  const Taps taps = make_taps(backend, s);
  const std::int64_t positions = static_cast<std::int64_t>(s.h) * s.w,
                     pixels = static_cast<std::int64_t>(s.H) * s.W;
  for_maps(backend, s, [&](std::int64_t n, float* room) {
    finish(s, taps, raw + n * positions, room, map + n * pixels, zero + n);
  });
}

void weighted_cam(const Cpu& backend,
                  const CamShape& s,
                  const float* alpha,
                  ConstView x,
                  float* raw,
                  float* map,
                  std::uint8_t* zero) {
  const Taps taps = make_taps(backend, s);
  const std::int64_t positions = static_cast<std::int64_t>(s.h) * s.w,
                     pixels = static_cast<std::int64_t>(s.H) * s.W;
  with_float_type(x.dtype, [&](auto type) {
    const auto* activation = x.as<decltype(type)>();
    for_maps(backend, s, [&](std::int64_t n, float* room) {
      for (std::int64_t p = n * positions; p < (n + 1) * positions; ++p)
        raw[p] = weighted_sum(s.C, alpha + n * s.C, activation + p * s.C);
      finish(s, taps, raw + n * positions, room, map + n * pixels, zero + n);
    });
  });
}

}  // namespace clx::kernels
