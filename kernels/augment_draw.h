// What is drawn for one view of one sample: the crop, the mirror, the colours, the blur. One code for every
// backend, with the same bits from each.
#pragma once

#include <cstdint>
#include <math.h>

#include "kernels/host_device.h"
#include "kernels/philox.h"

namespace clx {

/// What may happen to an image, and how likely. Without `resize` the crop has the image's own size and lies
/// within the image padded by `padding`.
struct AugmentRule {
  int padding = 0;
  bool flip = false;  // mirror with probability 1/2
  bool resize = false;
  double scale_low = 0, scale_high = 0;          // of a resized crop: part of the area
  double ratio_low = 0, ratio_high = 0;          // width over height
  double log_ratio_low = 0, log_ratio_high = 0;  // their logarithms
  float jitter_p = 0, brightness = 0, contrast = 0, saturation = 0, hue = 0;
  float gray_p = 0;
  float blur_p = 0, sigma_low = 0, sigma_high = 0;
};

struct Box {
  int top = 0, left = 0, height = 0, width = 0;
};

enum class ColorOp : std::uint8_t { brightness, contrast, saturation, hue };

/// One draw. The steps happen in the order of the members.
struct Augmentation {
  Box box;  // in the image; pixels outside of it are black
  bool mirrored = false;
  std::int32_t color_ops = 0;      // how many of `order` happen: 0 without jitter
  ColorOp order[4] = {};           //
  float factor[4] = {1, 1, 1, 0};  // by ColorOp; the hue's in turns
  bool gray = false;               //
  float sigma = 0;                 // of the blur, in pixels; 0: none
};

/// e^x with the same bits on every device: each step is one rounding.
CLX_HOST_DEVICE inline double exp_alike(double x) {
  const double k = rint(x * 1.4426950408889634);
  const double r = fma(k, -1.9082149292705877e-10, fma(k, -0.6931471803691238, x));
  double y = 1.0 / 6227020800.0;  // 1/13!, then 1/12! … 1/0!
  const double coefficient[13] = {1.0 / 479001600.0,
                                  1.0 / 39916800.0,
                                  1.0 / 3628800.0,
                                  1.0 / 362880.0,
                                  1.0 / 40320.0,
                                  1.0 / 5040.0,
                                  1.0 / 720.0,
                                  1.0 / 120.0,
                                  1.0 / 24.0,
                                  1.0 / 6.0,
                                  1.0 / 2.0,
                                  1.0,
                                  1.0};
  for (int i = 0; i < 13; ++i)
    y = fma(y, r, coefficient[i]);
  return ldexp(y, static_cast<int>(k));
}

/// The box of a random resized crop of an H×W image: up to ten tries of an area uniform within the scales
/// and a logarithm of the ratio uniform within theirs; the first that fits, placed uniformly; else the
/// largest centred box within the ratios.
/// Source: torchvision, RandomResizedCrop.get_params.
CLX_HOST_DEVICE inline Box resized_crop_box(const AugmentRule& rule,
                                            int H,
                                            int W,
                                            std::uint64_t seed,
                                            std::uint32_t epoch,
                                            std::uint64_t sample,
                                            std::uint32_t view) {
  const double area = static_cast<double>(H) * W;
  for (std::uint32_t attempt = 0; attempt < 10; ++attempt) {
    const Philox4 word = philox(seed, Purpose::resized_crop, epoch, sample, view * 16 + attempt);
    const double target = area * fma(static_cast<double>(uniform01(word.v[0])),
                                     rule.scale_high - rule.scale_low, rule.scale_low);
    const double aspect = exp_alike(fma(static_cast<double>(uniform01(word.v[1])),
                                        rule.log_ratio_high - rule.log_ratio_low, rule.log_ratio_low));
    const double w = rint(sqrt(target * aspect)), h = rint(sqrt(target / aspect));
    if (!(w > 0 && w <= W && h > 0 && h <= H)) continue;
    Box box{0, 0, static_cast<int>(h), static_cast<int>(w)};
    box.top = static_cast<int>(uniform_below(word.v[2], static_cast<std::uint32_t>(H - box.height + 1)));
    box.left = static_cast<int>(uniform_below(word.v[3], static_cast<std::uint32_t>(W - box.width + 1)));
    return box;
  }
  Box box{0, 0, H, W};
  const double ratio = static_cast<double>(W) / H;
  if (ratio < rule.ratio_low) box.height = static_cast<int>(rint(W / rule.ratio_low));
  if (ratio > rule.ratio_high) box.width = static_cast<int>(rint(H * rule.ratio_high));
  box.top = (H - box.height) / 2;
  box.left = (W - box.width) / 2;
  return box;
}

/// The draw for `view` of `sample` in `epoch`: a function of these alone.
///
/// Words, all of Philox keyed by (seed, purpose, epoch, sample): crop_flip, index = view: top, left, mirror,
/// grayscale. resized_crop, index = 16·view + attempt: area, ratio, top, left. color, index = 2·view: jitter
/// or not, order, brightness, contrast; 2·view + 1: saturation, hue, blur or not, its sigma. An event of
/// probability p happens where its word, uniform in [0,1), is below p.
CLX_HOST_DEVICE inline Augmentation draw_augmentation(const AugmentRule& rule,
                                                      int H,
                                                      int W,
                                                      std::uint64_t seed,
                                                      std::uint32_t epoch,
                                                      std::uint64_t sample,
                                                      std::uint32_t view) {
  Augmentation a;
  a.box = {0, 0, H, W};
  const Philox4 crop = philox(seed, Purpose::crop_flip, epoch, sample, view);
  if (rule.resize) {
    a.box = resized_crop_box(rule, H, W, seed, epoch, sample, view);
  } else if (rule.padding > 0) {
    const auto places = static_cast<std::uint32_t>(2 * rule.padding + 1);
    a.box.top = static_cast<int>(uniform_below(crop.v[0], places)) - rule.padding;
    a.box.left = static_cast<int>(uniform_below(crop.v[1], places)) - rule.padding;
  }
  a.mirrored = rule.flip && uniform01(crop.v[2]) < 0.5f;
  a.gray = uniform01(crop.v[3]) < rule.gray_p;
  if (!(rule.jitter_p > 0) && !(rule.blur_p > 0)) return a;

  const Philox4 c = philox(seed, Purpose::color, epoch, sample, 2 * view);
  const Philox4 d = philox(seed, Purpose::color, epoch, sample, 2 * view + 1);
  if (uniform01(c.v[0]) < rule.jitter_p) {
    const float strength[4] = {rule.brightness, rule.contrast, rule.saturation, rule.hue};
    const std::uint32_t word[4] = {c.v[2], c.v[3], d.v[0], d.v[1]};
    std::uint32_t code = uniform_below(c.v[1], 24);  // which of the 4! orders
    int left[4] = {0, 1, 2, 3};
    for (std::uint32_t remaining = 4; remaining > 0; --remaining) {
      const std::uint32_t pick = code % remaining;
      code /= remaining;
      const int op = left[pick];
      left[pick] = left[remaining - 1];
      if (!(strength[op] > 0)) continue;
      const bool is_hue = op == static_cast<int>(ColorOp::hue);
      const float low = is_hue ? -strength[op] : strength[op] < 1 ? 1 - strength[op] : 0.0f;
      const float high = is_hue ? strength[op] : 1 + strength[op];
      a.factor[op] = fmaf(uniform01(word[op]), high - low, low);
      a.order[a.color_ops++] = static_cast<ColorOp>(op);
    }
  }
  if (uniform01(d.v[2]) < rule.blur_p)
    a.sigma = fmaf(uniform01(d.v[3]), rule.sigma_high - rule.sigma_low, rule.sigma_low);
  return a;
}

}  // namespace clx
