#include "xai/metrics/pixel_flipping.h"

#include <algorithm>
#include <limits>

#include "runtime/allocator.h"
#include "runtime/autograd.h"
#include "runtime/ops/flip.h"
#include "runtime/ops/join.h"
#include "runtime/ops/map_scores.h"
#include "runtime/ops/rank.h"
#include "xai/require_maps.h"

namespace clx::xai {
namespace {

// How many steps there are, and how many ranks each removes.
struct Steps {
  std::int64_t count, ranks;
  FlipSteps from(std::int64_t begin, std::int64_t end) const { return {begin, end, ranks}; }
};
Steps steps_of(const Tensor& images, const PixelFlippingOptions& options) {
  const std::int64_t pixels = images.dim(1) * images.dim(2),
                     values = options.mode == FlipMode::channel ? pixels * images.dim(3) : pixels;
  const std::int64_t per_step = options.pixels_per_step ? options.pixels_per_step : images.dim(2);
  CLX_CHECK(per_step > 0 && pixels % per_step == 0 && values / per_step > 1,
            "pixel_flipping: expected pixels per step to divide ", pixels, " into at least 2 steps, got ",
            per_step);
  return {values / per_step, per_step};
}

Tensor baseline_of(const Tensor& images, const PixelFlippingOptions& options) {
  const std::int64_t N = images.dim(0), C = images.dim(3);
  switch (options.baseline) {
    case FlipBaseline::image_min:
      return flip_baseline(images, FlipValue::least);
    case FlipBaseline::mean:
      return flip_baseline(images, FlipValue::mean);
    case FlipBaseline::zero:
      return Tensor::zeros({N, C}, images.device());
    default:
      break;
  }
  const std::size_t given = options.values.size();
  CLX_CHECK(given == 1 || given == static_cast<std::size_t>(C), "pixel_flipping: expected 1 or ", C,
            " values for the baseline, got ", given);
  std::vector<float> values(static_cast<std::size_t>(N * C));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = options.values[given == 1 ? 0 : i % given];
  return Tensor::from_host({N, C}, values, images.device());
}

// Scores p_0, p_1, …, p_S of images (N,S+1), of one map after the other. The unperturbed images and those
// without any pixel left are the same for every map: they are classified once.
class Curves {
 public:
  Curves(const Classifier& classifier,
         const Tensor& images,
         const std::vector<std::int32_t>& classes,
         const PixelFlippingOptions& options)
      : classifier_(classifier),
        options_(options),
        images_(images.detach()),
        steps_(steps_of(images, options)),
        baseline_(baseline_of(images_, options)),
        hosted_(classes),
        classes_(Tensor::from_host({N()}, classes, images.device())),
        batch_(options.batch_size),
        whole_(options.replayed ? options.replayed : classifier) {}

  Tensor of(const Tensor& maps) {
    const auto channels = options_.mode == FlipMode::channel ? static_cast<int>(images_.dim(3)) : 1;
    ranks_ = rank_maps(maps, {.channels = channels});
    scores_ = Tensor({N(), steps() + 1}, images_.device());
    std::int64_t first = 0;
    if (batch_ == 0) batch_ = find_batch(&first);
    for (const std::int64_t all = N() * (steps() - 1); first < all; first += batch_)
      score(first, std::min(batch_, all - first), whole_);
    if (!unperturbed_.defined()) {
      unperturbed_ = logits_after(0);
      emptied_ = logits_after(steps());
    }
    class_score(unperturbed_, classes_, 0, 1, 0, &scores_);
    class_score(emptied_, classes_, 0, 1, steps(), &scores_);
    return scores_;
  }
  std::int64_t steps() const { return steps_.count; }
  int batch() const { return static_cast<int>(std::min<std::int64_t>(batch_, 1 << 30)); }

 private:
  std::int64_t N() const { return images_.dim(0); }

  // Scores some of the list of what lies between: images after 1, 2, …, S − 1 steps.
  void score(std::int64_t first, std::int64_t count, const Classifier& classify) {
    const Tensor logits = classify(flip(images_, ranks_, baseline_, steps_.from(1, steps()), first, count));
    if (first == 0)
      for (const std::int32_t c : hosted_)
        CLX_CHECK(c >= 0 && c < logits.dim(1), "pixel_flipping: expected a class within 0…",
                  logits.dim(1) - 1, ", got ", c);
    class_score(logits, classes_, first, steps() - 1, 1, &scores_);
  }

  // Of all images after so many steps.
  Tensor logits_after(std::int64_t step) const {
    std::vector<Tensor> parts;
    for (std::int64_t first = 0; first < N(); first += batch_)
      parts.push_back(classifier_(flip(images_, ranks_, baseline_, steps_.from(step, step + 1), first,
                                       std::min(batch_, N() - first))));
    return join(parts);
  }

  // The most images that a batch may have. Scores some of the list on the way and moves *first behind them:
  // one alone, so that whatever the classifier keeps is there; one more, and four, which tell what an image
  // needs and what a forward pass needs besides.
  std::int64_t find_batch(std::int64_t* first) {
    constexpr std::int64_t kSome = 4;
    const std::int64_t all = N() * (steps() - 1), most = options_.max_memory;
    score((*first)++, 1, classifier_);
    if (*first == all) return 1;
    const std::int64_t one = bytes_of(*first, 1);
    ++*first;
    if (one > most / kSome || *first + kSome > all) return std::max<std::int64_t>(1, most / one);
    const std::int64_t some = bytes_of(*first, kSome);
    *first += kSome;
    const std::int64_t image = std::max<std::int64_t>(1, (some - one) / (kSome - 1)),
                       fixed = std::max<std::int64_t>(0, one - image);
    return std::max<std::int64_t>(1, (most - fixed) / image);
  }

  // Scores some of the list; returns the most memory that it took, at least 1.
  std::int64_t bytes_of(std::int64_t first, std::int64_t count) {
    const Device device = images_.device();
    reset_memory_peak(device);
    const std::size_t before = memory_stats(device).in_use;
    score(first, count, classifier_);
    return static_cast<std::int64_t>(std::max<std::size_t>(1, memory_stats(device).peak - before));
  }

  const Classifier& classifier_;
  const PixelFlippingOptions& options_;
  Tensor images_;
  Steps steps_;
  Tensor baseline_;
  const std::vector<std::int32_t>& hosted_;
  Tensor classes_;
  std::int64_t batch_;
  const Classifier& whole_;       // batches
  Tensor unperturbed_, emptied_;  // logits (N,K)
  Tensor ranks_, scores_;         // of the current map
};

// Scores (N,S+1) of maps, which have NaN where a map is zero everywhere.
PixelFlipping flipping_of(const Tensor& maps, const Tensor& scores) {
  const std::vector<float> p = scores.to_host(), areas = curve_areas(scores).to_host();
  const std::vector<MapScores> flags = map_scores(maps);
  const auto S = static_cast<std::size_t>(scores.dim(1) - 1), N = static_cast<std::size_t>(scores.dim(0));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  PixelFlipping result;
  result.steps = static_cast<int>(S);
  for (std::size_t n = 0; n < N; ++n) {
    const float* of_sample = p.data() + n * (S + 1);
    const bool zero = flags[n].zero != 0;
    result.p0.push_back(static_cast<double>(of_sample[0]));
    for (std::size_t s = 1; s <= S; ++s)
      result.curves.push_back(zero ? nan : static_cast<double>(of_sample[s]));
    result.auc.push_back(zero ? nan : static_cast<double>(areas[3 * n]));
    result.auc_with_p0.push_back(zero ? nan : static_cast<double>(areas[3 * n + 1]));
    result.auc_over_p0.push_back(zero ? nan : static_cast<double>(areas[3 * n + 2]));
  }
  return result;
}

}  // namespace

FlipMode parse_flip_mode(std::string_view text) {
  if (text == "pixel") return FlipMode::pixel;
  if (text == "channel") return FlipMode::channel;
  throw Error(concat("pf-mode: expected pixel or channel, got '", text, "'"));
}

FlipBaseline parse_flip_baseline(std::string_view text) {
  if (text == "image-min") return FlipBaseline::image_min;
  if (text == "zero") return FlipBaseline::zero;
  if (text == "true-black") return FlipBaseline::true_black;
  if (text == "mean") return FlipBaseline::mean;
  if (text == "value") return FlipBaseline::value;
  throw Error(concat("pf-baseline: expected image-min, zero, true-black, mean or value, got '", text, "'"));
}

std::vector<PixelFlipping> pixel_flipping(const Classifier& classifier,
                                          const Tensor& images,
                                          const std::vector<Tensor>& maps,
                                          const std::vector<std::int32_t>& classes,
                                          const PixelFlippingOptions& options) {
  CLX_CHECK(images.defined() && images.rank() == 4 && images.size() > 0,
            "pixel_flipping: expected images (N,H,W,C), got ",
            images.defined() ? concat(images.shape()) : "none");
  for (const Tensor& m : maps) {
    require_maps("pixel_flipping", m);
    CLX_CHECK(images.dim(0) == m.dim(0) && images.dim(1) == m.dim(1) && images.dim(2) == m.dim(2),
              "pixel_flipping: expected images (N,H,W,C) for maps ", m.shape(), ", got ", images.shape());
  }
  CLX_CHECK(static_cast<std::int64_t>(classes.size()) == images.dim(0), "pixel_flipping: expected ",
            images.dim(0), " classes, got ", classes.size());
  CLX_CHECK(options.batch_size >= 0, "pixel_flipping: expected a batch size of at least 0, got ",
            options.batch_size);
  CLX_CHECK(options.max_memory > 0, "pixel_flipping: expected a max memory above 0, got ",
            options.max_memory);

  const NoGrad no_grad;
  Curves curves(classifier, images, classes, options);
  std::vector<PixelFlipping> results;
  for (const Tensor& m : maps) {
    const Tensor here = m.to(images.device());
    results.push_back(flipping_of(here, curves.of(here)));
    results.back().batch_size = curves.batch();
  }
  return results;
}

PixelFlipping pixel_flipping(const Classifier& classifier,
                             const Tensor& images,
                             const Tensor& maps,
                             const std::vector<std::int32_t>& classes,
                             const PixelFlippingOptions& options) {
  return pixel_flipping(classifier, images, std::vector{maps}, classes, options)[0];
}

}  // namespace clx::xai
