#include "runtime/ops/augment.h"

#include <cmath>

#include "kernels/augment.h"
#include "runtime/dispatch.h"
#include "runtime/ops/normalization.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

constexpr const char* kOp = "augment_images";

void require_probability(const char* of, float p) {
  CLX_CHECK(p >= 0 && p <= 1, kOp, ": expected a probability of ", of, " within 0…1, got ", p);
}

Tensor augment(const Tensor& images,
               const Tensor& samples,
               const Step& step,
               const AugmentOptions& options,
               int view,
               bool in_order) {
  CLX_CHECK(images.defined() && images.dtype() == DType::u8, kOp, ": expected images of u8");
  require_rank(kOp, "images (M,H,W,C)", images, 4);
  const Device device = images.device();
  const auto extent = [&](int axis) { return static_cast<int>(images.dim(axis)); };
  const int H = extent(1), W = extent(2), C = extent(3);
  CLX_CHECK(C <= 4, kOp, ": expected at most 4 channels, got ", C);
  CLX_CHECK(options.dtype == DType::f32 || options.dtype == DType::bf16, kOp, ": expected f32 or bf16, got ",
            name_of(options.dtype));
  CLX_CHECK(step.device() == device, kOp, ": expected the step on ", device, ", got it on ", step.device());
  CLX_CHECK(view >= 0, kOp, ": expected a view of at least 0, got ", view);
  require_samples(kOp, samples, in_order ? 0 : images.dim(0), device);
  CLX_CHECK(!in_order || samples.dim(0) == images.dim(0), kOp, ": expected ", images.dim(0),
            " samples for as many images, got ", samples.dim(0));
  const AugmentRule rule = augment_rule(options);
  const bool resized = rule.resize;
  CLX_CHECK(
      resized || ((options.height == 0 || options.height == H) && (options.width == 0 || options.width == W)),
      kOp, ": expected a resized crop to change the size from ", H, " × ", W, " to ", options.height, " × ",
      options.width);
  CLX_CHECK(C == 3 || !(rule.jitter_p > 0 || rule.gray_p > 0), kOp,
            ": expected three channels for jitter and grayscale, got ", C);
  const int height = options.height > 0 ? options.height : H, width = options.width > 0 ? options.width : W;
  CLX_CHECK(!(rule.blur_p > 0) || (height > kernels::kBlurRadius && width > kernels::kBlurRadius), kOp,
            ": expected more than ", kernels::kBlurRadius, " × ", kernels::kBlurRadius,
            " pixels for the blur, got ", height, " × ", width);

  const auto N = static_cast<int>(samples.dim(0));
  const kernels::Normalization by = normalization(kOp, options.mean, options.std, C);
  Tensor y({N, height, width, C}, device, options.dtype);
  const auto* state = static_cast<const StepState*>(step.state().view().data);
  const auto* pixels = images.data<std::uint8_t>();
  const auto* ids = samples.data<std::int64_t>();
  on(device, [&](const auto& backend) {
    if (!resized && !(rule.jitter_p > 0) && !(rule.gray_p > 0) && !(rule.blur_p > 0))
      kernels::gather_images(backend, {N, H, W, C, rule.padding, rule.flip, view, in_order}, by, pixels, ids,
                             state, y.mutable_view());
    else
      kernels::augment_images(backend, {N, H, W, C, height, width, view, in_order, rule}, by, pixels, ids,
                              state, y.mutable_view());
  });
  return y;
}

}  // namespace

AugmentRule augment_rule(const AugmentOptions& o) {
  AugmentRule rule;
  CLX_CHECK(o.padding >= 0, kOp, ": expected padding ≥ 0, got ", o.padding);
  CLX_CHECK(o.height >= 0 && o.width >= 0, kOp, ": expected a size of at least 1 × 1, got ", o.height, " × ",
            o.width);
  rule.padding = o.padding;
  rule.flip = o.flip;
  if (o.resized_crop) {
    const ResizedCrop& crop = *o.resized_crop;
    CLX_CHECK(o.padding == 0, kOp, ": expected padding or a resized crop, got both");
    CLX_CHECK(crop.scale_low > 0 && crop.scale_low <= crop.scale_high && crop.scale_high <= 1, kOp,
              ": expected scales within 0…1, the lower first, got ", crop.scale_low, " and ",
              crop.scale_high);
    CLX_CHECK(crop.ratio_low > 0 && crop.ratio_low <= crop.ratio_high && std::isfinite(crop.ratio_high), kOp,
              ": expected ratios above 0, the lower first, got ", crop.ratio_low, " and ", crop.ratio_high);
    rule.resize = true;
    rule.scale_low = crop.scale_low;
    rule.scale_high = crop.scale_high;
    rule.ratio_low = crop.ratio_low;
    rule.ratio_high = crop.ratio_high;
    rule.log_ratio_low = std::log(crop.ratio_low);
    rule.log_ratio_high = std::log(crop.ratio_high);
  }
  if (o.jitter) {
    const ColorJitter& jitter = *o.jitter;
    require_probability("jitter", jitter.p);
    for (const float strength : {jitter.brightness, jitter.contrast, jitter.saturation})
      CLX_CHECK(strength >= 0 && std::isfinite(strength), kOp, ": expected jitter strengths ≥ 0, got ",
                strength);
    CLX_CHECK(jitter.hue >= 0 && jitter.hue <= 0.5f, kOp, ": expected a hue jitter within 0…0.5, got ",
              jitter.hue);
    rule.jitter_p = jitter.p;
    rule.brightness = jitter.brightness;
    rule.contrast = jitter.contrast;
    rule.saturation = jitter.saturation;
    rule.hue = jitter.hue;
  }
  require_probability("grayscale", o.grayscale);
  rule.gray_p = o.grayscale;
  if (o.blur) {
    require_probability("blur", o.blur->p);
    CLX_CHECK(
        o.blur->sigma_low > 0 && o.blur->sigma_low <= o.blur->sigma_high && std::isfinite(o.blur->sigma_high),
        kOp, ": expected blur sigmas above 0, the lower first, got ", o.blur->sigma_low, " and ",
        o.blur->sigma_high);
    rule.blur_p = o.blur->p;
    rule.sigma_low = o.blur->sigma_low;
    rule.sigma_high = o.blur->sigma_high;
  }
  return rule;
}

Augmentation draw_augmentation(const AugmentOptions& options,
                               int H,
                               int W,
                               std::uint64_t seed,
                               int epoch,
                               std::int64_t sample,
                               int view) {
  return draw_augmentation(augment_rule(options), H, W, seed, static_cast<std::uint32_t>(epoch),
                           static_cast<std::uint64_t>(sample), static_cast<std::uint32_t>(view));
}

Tensor augment_images(
    const Tensor& images, const Tensor& samples, const Step& step, const AugmentOptions& options, int view) {
  return augment(images, samples, step, options, view, false);
}

Tensor augment_batch(
    const Tensor& images, const Tensor& samples, const Step& step, const AugmentOptions& options, int view) {
  return augment(images, samples, step, options, view, true);
}

}  // namespace clx
