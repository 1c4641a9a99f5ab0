#include <algorithm>
#include <cmath>

#include "runtime/check.h"
#include "runtime/io/pil.h"

namespace clx::io {
namespace {

void require_rgb(const char* what, const Image& x) {
  CLX_CHECK(x.channels == 3, what, ": expected three channels, got ", x.channels);
}

void require_factor(const char* what, float factor) {
  CLX_CHECK(factor >= 0 && std::isfinite(factor), what, ": expected a factor ≥ 0, got ", factor);
}

/// Between d (factor 0) and x (factor 1), cut to 8 bits; beyond 1 clipped first.
/// Source: Pillow, src/libImaging/Blend.c.
std::uint8_t blend(int d, int x, float factor) {
  const float v = static_cast<float>(d) + factor * static_cast<float>(x - d);
  if (factor >= 0 && factor <= 1) return static_cast<std::uint8_t>(static_cast<int>(v));
  return v <= 0 ? std::uint8_t(0) : v >= 255 ? std::uint8_t(255) : static_cast<std::uint8_t>(v);
}

// Calls f(red, green, blue) for every pixel, by reference.
template <class F>
Image for_pixels(const char* what, Image x, F&& f) {
  require_rgb(what, x);
  for (std::size_t i = 0; i + 2 < x.pixels.size(); i += 3)
    f(x.pixels[i], x.pixels[i + 1], x.pixels[i + 2]);
  return x;
}

struct Hsv {
  std::uint8_t h, s, v;
};

/// Source: Pillow, src/libImaging/Convert.c, rgb2hsv_row.
Hsv to_hsv(int r, int g, int b) {
  const int most = std::max({r, g, b}), least = std::min({r, g, b});
  if (most == least) return {0, 0, static_cast<std::uint8_t>(most)};
  const auto range = static_cast<float>(most - least);
  const float s = range / static_cast<float>(most);
  const float rc = static_cast<float>(most - r) / range, gc = static_cast<float>(most - g) / range,
              bc = static_cast<float>(most - b) / range;
  const auto wide = [](float x) { return static_cast<double>(x); };
  const float h = r == most   ? bc - gc
                  : g == most ? static_cast<float>(2.0 + wide(rc) - wide(bc))
                              : static_cast<float>(4.0 + wide(gc) - wide(rc));
  const double turns = wide(h) / 6.0 + 1.0;  // within 5/6 … 11/6: its remainder by 1 is exact
  const auto fraction = static_cast<float>(turns >= 1 ? turns - 1 : turns);
  return {static_cast<std::uint8_t>(wide(fraction) * 255.0), static_cast<std::uint8_t>(wide(s) * 255.0),
          static_cast<std::uint8_t>(most)};
}

/// x ≥ 0 to the nearest integer, halves up.
std::uint8_t rounded(double x) {
  return static_cast<std::uint8_t>(static_cast<int>(x + 0.5));
}

// What hsv2rgb_row computes of H and of S alone.
struct HueTable {
  struct Turn {
    int sector;  // 0 … 5
    float f;     // the way through it
  } turn[256];
  float fs[256];

  HueTable() {
    for (int i = 0; i < 256; ++i) {
      const double sixths = i * 6.0 / 255.0;
      const int sector = static_cast<int>(sixths);
      turn[i] = {sector % 6, static_cast<float>(sixths - sector)};
      fs[i] = static_cast<float>(i / 255.0);
    }
  }
};

/// Source: Pillow, src/libImaging/Convert.c, hsv2rgb_row.
void from_hsv(const Hsv& x, const HueTable& table, std::uint8_t& r, std::uint8_t& g, std::uint8_t& b) {
  if (x.s == 0) {
    r = g = b = x.v;
    return;
  }
  const auto [sector, f] = table.turn[x.h];
  const float fs = table.fs[x.s];
  const auto v = static_cast<double>(x.v);
  const std::uint8_t values[4] = {
      x.v, rounded(v * (1.0 - static_cast<double>(fs))), rounded(v * (1.0 - static_cast<double>(fs * f))),
      rounded(v * (1.0 - static_cast<double>(fs) * (1.0 - static_cast<double>(f))))};
  enum { V, p, q, t };
  constexpr std::uint8_t kRgb[6][3] = {{V, t, p}, {q, V, p}, {p, V, t}, {p, q, V}, {t, p, V}, {V, p, q}};
  r = values[kRgb[sector][0]];
  g = values[kRgb[sector][1]];
  b = values[kRgb[sector][2]];
}

}  // namespace

std::uint8_t luma(std::uint8_t r, std::uint8_t g, std::uint8_t b) {
  return static_cast<std::uint8_t>((19595u * r + 38470u * g + 7471u * b + 0x8000u) >> 16);
}

Image grayscale(const Image& x) {
  return for_pixels("grayscale", x, [](auto& r, auto& g, auto& b) { r = g = b = luma(r, g, b); });
}

Image adjust_brightness(const Image& x, float factor) {
  require_factor("adjust_brightness", factor);
  return for_pixels("adjust_brightness", x, [&](auto& r, auto& g, auto& b) {
    r = blend(0, r, factor);
    g = blend(0, g, factor);
    b = blend(0, b, factor);
  });
}

Image adjust_contrast(const Image& x, float factor) {
  require_factor("adjust_contrast", factor);
  std::int64_t sum = 0;
  for_pixels("adjust_contrast", x, [&](auto& r, auto& g, auto& b) { sum += luma(r, g, b); });
  const int mean =
      static_cast<int>(static_cast<double>(sum) / static_cast<double>(x.pixels.size() / 3) + 0.5);
  return for_pixels("adjust_contrast", x, [&](auto& r, auto& g, auto& b) {
    r = blend(mean, r, factor);
    g = blend(mean, g, factor);
    b = blend(mean, b, factor);
  });
}

Image adjust_saturation(const Image& x, float factor) {
  require_factor("adjust_saturation", factor);
  return for_pixels("adjust_saturation", x, [&](auto& r, auto& g, auto& b) {
    const int gray = luma(r, g, b);
    r = blend(gray, r, factor);
    g = blend(gray, g, factor);
    b = blend(gray, b, factor);
  });
}

Image adjust_hue(const Image& x, float turns) {
  CLX_CHECK(turns >= -0.5f && turns <= 0.5f, "adjust_hue: expected turns within ±1/2, got ", turns);
  const int shift = static_cast<int>(static_cast<double>(turns) * 255);
  static const HueTable table;
  return for_pixels("adjust_hue", x, [&](auto& r, auto& g, auto& b) {
    Hsv hsv = to_hsv(r, g, b);
    hsv.h = static_cast<std::uint8_t>(hsv.h + shift);
    from_hsv(hsv, table, r, g, b);
  });
}

}  // namespace clx::io
