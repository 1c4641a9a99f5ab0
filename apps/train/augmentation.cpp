#include "apps/train/augmentation.h"

#include <fmt/format.h>
#include <utility>

#include "apps/support/exit_code.h"

namespace clx::app {
namespace {

struct Preset {
  std::string name;
  AugmentOptions steps;
};

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all{
      {"none", {}},
      // The paper's CIFAR-10 pipelines: cross-entropy and triplet; supervised contrastive.
      {"crop-flip", {.padding = 4, .flip = true}},
      {"contrastive",
       {.resized_crop = ResizedCrop{.scale_low = 0.2},
        .flip = true,
        .jitter = ColorJitter{.brightness = 0.4f, .contrast = 0.4f, .saturation = 0.4f, .hue = 0.1f},
        .grayscale = 0.2f}},
      // Those of ImageNet-S50.
      {"imagenet", {.resized_crop = ResizedCrop{}, .flip = true}},
      {"imagenet-contrastive",
       {.resized_crop = ResizedCrop{},
        .flip = true,
        .jitter = ColorJitter{.brightness = 0.8f, .contrast = 0.8f, .saturation = 0.8f, .hue = 0.2f},
        .grayscale = 0.2f,
        .blur = GaussianBlur{}}},
  };
  return all;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : presets())
    names.push_back(preset.name);
  return names;
}

template <class T>
void require_length(const char* option, const std::vector<T>& list, std::size_t length, const char* what) {
  if (!list.empty() && list.size() != length)
    throw UsageError(fmt::format("{}: expected {}, got {} numbers", option, what, list.size()));
}

}  // namespace

void add_augmentation_options(Options& options, AugmentationOptions* o) {
  options.group("Augmentation");
  options
      .add("augment", &o->preset,
           "what happens to training images; crop-flip: random crop out of the image padded by 4, mirror; "
           "contrastive: random resized crop of 20 … 100 %, mirror, colours 0.4 with p 0.8, gray with p 0.2; "
           "imagenet: random resized crop of 8 … 100 %, mirror; imagenet-contrastive: this, colours 0.8, "
           "gray, "
           "blur with p 0.5 (default: contrastive for supcon, else crop-flip)")
      .choices(preset_names());
  options
      .add("crop-padding", &o->crop_padding,
           "a random crop out of the image padded by this much, in the place of the preset's crop")
      .range(0, 1024);
  options
      .add("crop-scale", &o->crop_scale,
           "low,high: a random resized crop of this share of the area, in the place of the preset's crop")
      .range(1e-4, 1);
  options.add("flip", &o->flip, "mirror half of the images (default: the preset's)");
  options
      .add("jitter", &o->jitter,
           "brightness,contrast,saturation,hue: strengths of the colour changes; 0,0,0,0: none (default: the "
           "preset's)")
      .range(0, 1);
  options.add("jitter-p", &o->jitter_p, "probability of the colour changes (default: 0.8)").range(0, 1);
  options.add("grayscale", &o->grayscale, "probability of gray (default: the preset's)").range(0, 1);
  options.add("blur", &o->blur, "probability of a blur of sigma 0.1 … 2 (default: the preset's)").range(0, 1);
}

AugmentOptions augmentation(const AugmentationOptions& o, const std::string& otherwise) {
  require_length("crop-scale", o.crop_scale, 2, "low,high");
  require_length("jitter", o.jitter, 4, "brightness,contrast,saturation,hue");
  if (o.crop_padding && !o.crop_scale.empty())
    throw UsageError("crop-padding: expected one kind of crop, got --crop-scale too");
  const std::string name = o.preset.value_or(otherwise);
  AugmentOptions steps =
      std::ranges::find(presets(), name, [](const Preset& preset) { return preset.name; })->steps;
  if (o.crop_padding) {
    steps.padding = *o.crop_padding;
    steps.resized_crop.reset();
  }
  if (!o.crop_scale.empty()) {
    if (o.crop_scale[0] > o.crop_scale[1])
      throw UsageError(
          fmt::format("crop-scale: expected low,high, got {},{}", o.crop_scale[0], o.crop_scale[1]));
    steps.padding = 0;
    steps.resized_crop = ResizedCrop{.scale_low = o.crop_scale[0], .scale_high = o.crop_scale[1]};
  }
  if (o.flip) steps.flip = *o.flip;
  if (!o.jitter.empty()) {
    ColorJitter jitter{o.jitter[0], o.jitter[1], o.jitter[2], o.jitter[3]};
    const bool none = o.jitter == std::vector<float>(4, 0.f);
    steps.jitter = none ? std::nullopt : std::optional(jitter);
  }
  if (o.jitter_p) {
    if (!steps.jitter)
      throw UsageError("jitter-p: expected colour changes, got none; --jitter asks for them");
    steps.jitter->p = *o.jitter_p;
  }
  if (o.grayscale) steps.grayscale = *o.grayscale;
  if (o.blur) steps.blur = *o.blur > 0 ? std::optional(GaussianBlur{.p = *o.blur}) : std::nullopt;
  return steps;
}

}  // namespace clx::app
