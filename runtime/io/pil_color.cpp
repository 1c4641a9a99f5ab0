#include <algorithm>
#include <cmath>

#include "runtime/check.h"
#include "runtime/io/pil.h"

namespace clx::io {
namespace {

void require_rgb(const char* what, const Image& x) {
  CLX_CHECK(x.channels == 3, what, ": expected three channels, got ", x.channels);
}

std::uint8_t clip(int value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0, 255));
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
Hsv to_hsv(std::uint8_t r, std::uint8_t g, std::uint8_t b) {
  const std::uint8_t most = std::max({r, g, b}), least = std::min({r, g, b});
  if (most == least) return {0, 0, most};
  const auto range = static_cast<float>(most - least);
  const float s = range / static_cast<float>(most);
  const float rc = static_cast<float>(most - r) / range, gc = static_cast<float>(most - g) / range,
              bc = static_cast<float>(most - b) / range;
  float h = r == most   ? bc - gc
            : g == most ? static_cast<float>(2.0 + static_cast<double>(rc) - static_cast<double>(bc))
                        : static_cast<float>(4.0 + static_cast<double>(gc) - static_cast<double>(rc));
  h = static_cast<float>(std::fmod(static_cast<double>(h) / 6.0 + 1.0, 1.0));
  return {clip(static_cast<int>(static_cast<double>(h) * 255.0)),
          clip(static_cast<int>(static_cast<double>(s) * 255.0)), most};
}

/// Source: Pillow, src/libImaging/Convert.c, hsv2rgb_row.
void from_hsv(const Hsv& x, std::uint8_t& r, std::uint8_t& g, std::uint8_t& b) {
  if (x.s == 0) {
    r = g = b = x.v;
    return;
  }
  const double sixths = x.h * 6.0 / 255.0;
  const int sector = static_cast<int>(std::floor(sixths));
  const auto f = static_cast<float>(sixths - sector);
  const auto fs = static_cast<float>(x.s / 255.0);
  const auto v = static_cast<double>(x.v);
  const std::uint8_t p = clip(static_cast<int>(std::round(v * (1.0 - static_cast<double>(fs)))));
  const std::uint8_t q = clip(static_cast<int>(std::round(v * (1.0 - static_cast<double>(fs * f)))));
  const std::uint8_t t = clip(
      static_cast<int>(std::round(v * (1.0 - static_cast<double>(fs) * (1.0 - static_cast<double>(f))))));
  const std::uint8_t rgb[6][3] = {{x.v, t, p}, {q, x.v, p}, {p, x.v, t},
                                  {p, q, x.v}, {t, p, x.v}, {x.v, p, q}};
  r = rgb[sector % 6][0];
  g = rgb[sector % 6][1];
  b = rgb[sector % 6][2];
}

}  // namespace

std::uint8_t luma(std::uint8_t r, std::uint8_t g, std::uint8_t b) {
  return static_cast<std::uint8_t>((19595u * r + 38470u * g + 7471u * b + 0x8000u) >> 16);
}

Image grayscale(const Image& x) {
  return for_pixels("grayscale", x, [](auto& r, auto& g, auto& b) { r = g = b = luma(r, g, b); });
}

Image adjust_brightness(const Image& x, float factor) {
  return for_pixels("adjust_brightness", x, [&](auto& r, auto& g, auto& b) {
    r = blend(0, r, factor);
    g = blend(0, g, factor);
    b = blend(0, b, factor);
  });
}

Image adjust_contrast(const Image& x, float factor) {
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
  return for_pixels("adjust_hue", x, [&](auto& r, auto& g, auto& b) {
    Hsv hsv = to_hsv(r, g, b);
    hsv.h = static_cast<std::uint8_t>(hsv.h + shift);
    from_hsv(hsv, r, g, b);
  });
}

}  // namespace clx::io
