#include "xai/metrics/pixel_flipping.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "runtime/autograd.h"
#include "runtime/ops/convert.h"
#include "runtime/ops/softmax.h"
#include "xai/require_maps.h"

namespace clx::xai {
namespace {

// Pixels from the most to the least important.
std::vector<int> removal_order(const float* map, std::int64_t pixels) {
  std::vector<int> order(static_cast<std::size_t>(pixels));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [map](int a, int b) { return map[a] > map[b]; });
  return order;
}

// Collects perturbed images and scores them batch by batch.
class Scorer {
 public:
  Scorer(const Classifier& classifier, const Tensor& like, std::int64_t batch_size)
      : classifier_(classifier), device_(like.device()), dtype_(like.dtype()) {
    const std::int64_t image = like.size() / like.dim(0);
    images_ = Tensor({batch_size, like.dim(1), like.dim(2), like.dim(3)});
    image_size_ = image;
  }

  void add(const std::vector<float>& image, std::int32_t target, double* score) {
    std::copy(image.begin(), image.end(),
              images_.mutable_data() + static_cast<std::int64_t>(targets_.size()) * image_size_);
    targets_.push_back(target);
    scores_.push_back(score);
    if (static_cast<std::int64_t>(targets_.size()) == images_.dim(0)) flush();
  }

  void flush() {
    if (targets_.empty()) return;
    const Tensor batch =
        convert(images_.slice(0, static_cast<std::int64_t>(targets_.size())).to(device_), dtype_);
    const std::vector<float> p = softmax(classifier_(batch)).to_host();
    const std::size_t K = p.size() / targets_.size();
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      CLX_CHECK(targets_[i] >= 0 && static_cast<std::size_t>(targets_[i]) < K,
                "pixel_flipping: expected a class within 0…", K - 1, ", got ", targets_[i]);
      *scores_[i] = p[i * K + static_cast<std::size_t>(targets_[i])];
    }
    targets_.clear();
    scores_.clear();
  }

 private:
  const Classifier& classifier_;
  Device device_;
  DType dtype_;
  Tensor images_;
  std::int64_t image_size_ = 0;
  std::vector<std::int32_t> targets_;
  std::vector<double*> scores_;
};

}  // namespace

FlipBaseline parse_flip_baseline(std::string_view text) {
  if (text == "image-min") return FlipBaseline::image_min;
  if (text == "zero") return FlipBaseline::zero;
  throw Error(concat("pf-baseline: expected image-min or zero, got '", text, "'"));
}

PixelFlipping pixel_flipping(const Classifier& classifier,
                             const Tensor& images,
                             const Tensor& maps,
                             const std::vector<std::int32_t>& classes,
                             const PixelFlippingOptions& options) {
  require_maps("pixel_flipping", maps);
  CLX_CHECK(images.defined() && images.rank() == 4 && images.dim(0) == maps.dim(0) &&
                images.dim(1) == maps.dim(1) && images.dim(2) == maps.dim(2),
            "pixel_flipping: expected images (N,H,W,C) for maps ", maps.shape(), ", got ",
            images.defined() ? concat(images.shape()) : "none");
  const std::int64_t N = maps.dim(0), pixels = maps.dim(1) * maps.dim(2), C = images.dim(3);
  CLX_CHECK(static_cast<std::int64_t>(classes.size()) == N, "pixel_flipping: expected ", N, " classes, got ",
            classes.size());
  const std::int64_t per_step = options.pixels_per_step ? options.pixels_per_step : maps.dim(2);
  CLX_CHECK(per_step > 0 && pixels % per_step == 0 && pixels / per_step > 1,
            "pixel_flipping: expected pixels per step to divide ", pixels, " into at least 2 steps, got ",
            per_step);
  CLX_CHECK(options.batch_size > 0, "pixel_flipping: expected a batch size above 0, got ",
            options.batch_size);

  const NoGrad no_grad;
  const auto S = static_cast<std::size_t>(pixels / per_step), samples = static_cast<std::size_t>(N);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  PixelFlipping result{static_cast<int>(S), std::vector<double>(samples, nan),
                       std::vector<double>(samples * S, nan), std::vector<double>(samples, nan)};
  const Tensor host_maps = maps.to(kCpu), host_images = convert(images, DType::f32).to(kCpu);
  Scorer scorer(classifier, images, options.batch_size);
  for (std::size_t n = 0; n < samples; ++n) {
    const float* map = host_maps.data() + static_cast<std::int64_t>(n) * pixels;
    const float* x = host_images.data() + static_cast<std::int64_t>(n) * pixels * C;
    std::vector<float> image(x, x + pixels * C);
    scorer.add(image, classes[n], &result.p0[n]);
    if (std::all_of(map, map + pixels, [](float v) { return v == 0; })) continue;
    const float baseline =
        options.baseline == FlipBaseline::zero ? 0.0f : *std::min_element(image.begin(), image.end());
    const std::vector<int> order = removal_order(map, pixels);
    for (std::size_t s = 0; s < S; ++s) {
      const auto first = order.begin() + static_cast<std::ptrdiff_t>(s) * per_step;
      for (auto pixel = first; pixel != first + per_step; ++pixel)
        std::fill_n(image.begin() + *pixel * C, C, baseline);
      scorer.add(image, classes[n], &result.curves[n * S + s]);
    }
  }
  scorer.flush();
  for (std::size_t n = 0; n < samples; ++n) {
    double area = 0;
    for (std::size_t s = 0; s + 1 < S; ++s)
      area += (result.curves[n * S + s] + result.curves[n * S + s + 1]) / 2;
    result.auc[n] = area / static_cast<double>(S - 1);
  }
  return result;
}

}  // namespace clx::xai
