#include "runtime/ops/augment.h"

#include <set>

#include "runtime/ops/pil_augment.h"
#include "runtime/threads.h"
#include "tests/check_op.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

const std::vector<float> kMean{0.49f, 0.48f, 0.45f}, kStd{0.25f, 0.24f, 0.26f};

// Smooth in places, sharp in others, as photos are.
std::vector<std::uint8_t> scene(int M, int H, int W, int C, unsigned seed) {
  std::vector<std::uint8_t> pixels;
  std::mt19937 generator(seed);
  for (int n = 0; n < M; ++n) {
    const double a = generator() % 100, b = generator() % 100, d = 0.1 + generator() % 100 * 0.004;
    for (int h = 0; h < H; ++h)
      for (int w = 0; w < W; ++w)
        for (int c = 0; c < C; ++c) {
          const double wave = std::sin(d * h + a + c) * std::cos(0.7 * d * w + b + 2 * c);
          pixels.push_back(static_cast<std::uint8_t>(128 + 120 * wave));
        }
  }
  return pixels;
}

class AugmentImages : public DeviceTest {
 protected:
  static Tensor images(const Shape& shape, const std::vector<std::uint8_t>& pixels, Device on = device()) {
    return Tensor::from_host(shape, pixels, on);
  }
  static Tensor samples(const std::vector<std::int64_t>& values, Device on = device()) {
    return Tensor::from_host({static_cast<std::int64_t>(values.size())}, values, on);
  }
  static Step step(std::uint64_t seed, int epoch, Device on = device()) {
    Step s(on);
    s.set_key(seed, epoch);
    return s;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, AugmentImages, every_device(), device_name);

AugmentOptions contrastive() {
  return {.resized_crop = ResizedCrop{.scale_low = 0.2},
          .flip = true,
          .jitter = ColorJitter{.brightness = 0.4f, .contrast = 0.4f, .saturation = 0.4f, .hue = 0.1f},
          .grayscale = 0.2f};
}

TEST_P(AugmentImages, StaysCloseToTheBytesOfPillow) {
  const int M = 12, H = 19, W = 23;
  const auto pixels = scene(M, H, W, 3, 1);
  const AugmentOptions options = contrastive();
  for (int view = 0; view < 2; ++view) {
    const Array y =
        to_array(augment_images(images({M, H, W, 3}, pixels), samples({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}),
                                step(3, 1), options, view));
    for (int n = 0; n < M; ++n) {
      const Augmentation drawn = draw_augmentation(options, H, W, 3, 1, n, view);
      const io::Image x{W, H, 3, {pixels.begin() + n * H * W * 3, pixels.begin() + (n + 1) * H * W * 3}};
      const io::Image expected = pil_augment(x, options, drawn);
      double most = 0, sum = 0;
      for (int i = 0; i < H * W * 3; ++i) {
        const double d = std::abs(y[n * H * W * 3 + i] * 255 - expected.pixels[static_cast<std::size_t>(i)]);
        most = std::max(most, d);
        sum += d;
      }
      EXPECT_LT(most, drawn.color_ops > 0 ? 18 : 1.51) << "sample " << n;
      EXPECT_LT(sum / (H * W * 3), drawn.color_ops > 0 ? 3 : 0.51) << "sample " << n;
    }
  }
}

}  // namespace
}  // namespace clx::tests
