// The meaning of finish_cam and weighted_cam.
#pragma once

#include <algorithm>
#include <cmath>

#include "tests/reference/array.h"

namespace clx::reference {

inline Array min_max_of_positive(Array maps) {
  const std::int64_t pixels = maps.size() / maps.dim(0);
  for (std::int64_t n = 0; n < maps.dim(0); ++n) {
    double* m = maps.values.data() + n * pixels;
    for (std::int64_t p = 0; p < pixels; ++p)
      m[p] = std::max(m[p], 0.0);
    const double least = *std::min_element(m, m + pixels), range = *std::max_element(m, m + pixels) - least;
    for (std::int64_t p = 0; p < pixels; ++p)
      m[p] = (m[p] - least) / (1e-7 + range);
  }
  return maps;
}

/// Half-pixel centres, clamped edges.
inline Array resize_bilinear(const Array& maps, std::int64_t height, std::int64_t width) {
  const std::int64_t h = maps.dim(1), w = maps.dim(2);
  Array y({maps.dim(0), height, width});
  const auto at = [](std::int64_t from, std::int64_t to, std::int64_t d) {
    const double t =
        (static_cast<double>(d) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    return std::clamp(t, 0.0, static_cast<double>(from - 1));
  };
  for (std::int64_t n = 0; n < maps.dim(0); ++n)
    for (std::int64_t i = 0; i < height; ++i)
      for (std::int64_t j = 0; j < width; ++j) {
        const double r = at(h, height, i), c = at(w, width, j);
        const auto r0 = static_cast<std::int64_t>(r), c0 = static_cast<std::int64_t>(c);
        const std::int64_t r1 = std::min(r0 + 1, h - 1), c1 = std::min(c0 + 1, w - 1);
        const double a = r - std::floor(r), b = c - std::floor(c);
        y(n, i, j) = (1 - a) * ((1 - b) * maps(n, r0, c0) + b * maps(n, r0, c1)) +
                     a * ((1 - b) * maps(n, r1, c0) + b * maps(n, r1, c1));
      }
  return y;
}

inline Array finish_cam(const Array& raw, std::int64_t height, std::int64_t width) {
  return min_max_of_positive(resize_bilinear(min_max_of_positive(raw), height, width));
}

inline Array weigh_channels(const Array& activation, const Array& alpha) {
  Array raw({activation.dim(0), activation.dim(1), activation.dim(2)});
  const std::int64_t C = activation.dim(3), positions = raw.size() / raw.dim(0);
  for (std::int64_t i = 0; i < activation.size(); ++i)
    raw[i / C] += alpha(i / C / positions, i % C) * activation[i];
  return raw;
}

}  // namespace clx::reference
