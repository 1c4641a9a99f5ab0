// Batches for training from u8 images that lie in memory: crop, colours, blur, normalisation.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "runtime/check.h"
#include "runtime/ops/pil_augment.h"
#include "runtime/random.h"

namespace clx::app {
namespace {

struct Pipeline {
  const char* name;
  int images, batch, side;
  AugmentOptions options;
};

std::vector<Pipeline> pipelines(bool tiny) {
  const std::vector<float> mean{0.49f, 0.48f, 0.45f}, std{0.25f, 0.24f, 0.26f};
  const ColorJitter weak{.brightness = 0.4f, .contrast = 0.4f, .saturation = 0.4f, .hue = 0.1f};
  const ColorJitter strong{.brightness = 0.8f, .contrast = 0.8f, .saturation = 0.8f, .hue = 0.2f};
  const int images = tiny ? 2 : 2048, batch = tiny ? 2 : 256, small = tiny ? 12 : 32;
  const int large_images = tiny ? 2 : 256, large_batch = tiny ? 2 : 64, large = tiny ? 14 : 224;
  return {{"crop_flip", images, batch, small, {.mean = mean, .std = std, .padding = 4, .flip = true}},
          {"contrastive",
           images,
           batch,
           small,
           {.mean = mean,
            .std = std,
            .resized_crop = ResizedCrop{.scale_low = 0.2},
            .flip = true,
            .jitter = weak,
            .grayscale = 0.2f}},
          {"resized_crop_flip",
           large_images,
           large_batch,
           large,
           {.mean = mean, .std = std, .resized_crop = ResizedCrop{}, .flip = true}},
          {"contrastive_blur",
           large_images,
           large_batch,
           large,
           {.mean = mean,
            .std = std,
            .resized_crop = ResizedCrop{},
            .flip = true,
            .jitter = strong,
            .grayscale = 0.2f,
            .blur = GaussianBlur{}}}};
}

// Noise of 8 bits.
std::vector<std::uint8_t> noise(std::size_t count) {
  std::vector<std::uint8_t> pixels(count);
  Random random(1, Purpose::noise);
  for (std::uint8_t& pixel : pixels)
    pixel = static_cast<std::uint8_t>(random.word());
  return pixels;
}

// The first images whose draw has no blur, beside the same draw in Pillow's 8 bits.
void check(const Pipeline& p, const std::vector<std::uint8_t>& pixels, const Tensor& y) {
  const auto size = static_cast<std::size_t>(p.side) * static_cast<std::size_t>(p.side) * 3;
  const std::vector<double> got = values(y);
  for (int n = 0; n < std::min(p.batch, 8); ++n) {
    const Augmentation drawn = draw_augmentation(p.options, p.side, p.side, 1, 0, n);
    if (drawn.sigma > 0) continue;
    const auto begin = pixels.begin() + static_cast<std::ptrdiff_t>(size) * n;
    const io::Image expected = pil_augment(
        {p.side, p.side, 3, {begin, begin + static_cast<std::ptrdiff_t>(size)}}, p.options, drawn);
    double difference = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const double value =
          got[static_cast<std::size_t>(n) * size + i] * static_cast<double>(p.options.std[i % 3]) +
          static_cast<double>(p.options.mean[i % 3]);
      difference += std::abs(255 * value - static_cast<double>(expected.pixels[i]));
    }
    difference /= static_cast<double>(size);
    CLX_CHECK(difference < 4, "image ", n,
              ": expected a mean difference of at most 4 of 255 to 8-bit steps, got ", difference);
  }
}

Workload workload(const Pipeline& p, Device device, DType dtype) {
  const auto size = static_cast<std::size_t>(p.side) * static_cast<std::size_t>(p.side) * 3;
  const auto pixels = noise(size * static_cast<std::size_t>(p.images));
  const Tensor images = Tensor::from_host({p.images, p.side, p.side, 3}, pixels, device);
  std::vector<std::int64_t> ids(static_cast<std::size_t>(p.batch));
  std::iota(ids.begin(), ids.end(), 0);
  const Tensor samples = Tensor::from_host({p.batch}, ids, device);
  Step step(device);
  step.set_key(1, 0);
  AugmentOptions options = p.options;
  options.dtype = dtype;
  const auto run = [=] { return augment_images(images, samples, step, options); };
  return {run, [=] { check(p, pixels, run()); }};
}

}  // namespace

std::vector<Case> augment_cases(Device device) {
  std::vector<Case> cases;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Pipeline& p : pipelines(device.kind == DeviceKind::emulated)) {
      const double elements = static_cast<double>(p.batch) * p.side * p.side * 3;
      cases.push_back({.name = fmt::format("augment_{}/{}/N{}_C3_H{}_{}", p.name, concat(device), p.batch,
                                           p.side, name_of(dtype)),
                       .bound = Bound::memory,
                       .dtype = dtype,
                       .bytes = elements * (1 + static_cast<double>(size_of(dtype))),
                       .images = static_cast<double>(p.batch),
                       .prepare = [=] { return workload(p, device, dtype); }});
    }
  return cases;
}

}  // namespace clx::app
