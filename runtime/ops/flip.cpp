#include "runtime/ops/flip.h"

#include <limits>

#include "runtime/dispatch.h"
#include "runtime/ops/require.h"
#include "runtime/ops/require_labels.h"

namespace clx {
namespace {

int extent(std::int64_t value) {
  CLX_CHECK(value <= std::numeric_limits<int>::max(), "flip: expected fewer than 2³¹, got ", value);
  return static_cast<int>(value);
}

}  // namespace

Tensor flip_baseline(const Tensor& images, FlipValue value) {
  require_floating("flip_baseline", "images", images);
  require_rank("flip_baseline", "images (N,H,W,C)", images, 4);
  Tensor baseline({images.dim(0), images.dim(3)}, images.device());
  on(images.device(), [&](const auto& backend) {
    kernels::flip_baseline(backend, extent(images.dim(0)), extent(images.dim(1) * images.dim(2)),
                           extent(images.dim(3)), value, images.view(), baseline.mutable_data());
  });
  return baseline;
}

Tensor flip(const Tensor& images,
            const Tensor& ranks,
            const Tensor& baseline,
            const FlipSteps& steps,
            std::int64_t first,
            std::int64_t count) {
  require_floating("flip", "images", images);
  require_rank("flip", "images (N,H,W,C)", images, 4);
  const std::int64_t N = images.dim(0), H = images.dim(1), W = images.dim(2), C = images.dim(3);
  const bool channels = ranks.defined() && ranks.rank() == 4;
  require("flip", "ranks", ranks, DType::i32, channels ? images.shape() : Shape{N, H, W}, images.device());
  require("flip", "baseline", baseline, DType::f32, {N, C}, images.device());
  CLX_CHECK(steps.begin >= 0 && steps.states() > 0 && steps.per_step >= 0,
            "flip: expected the states of some steps, got ", steps.states(), " from ", steps.begin, " on");
  CLX_CHECK(first >= 0 && count > 0 && first + count <= N * steps.states(), "flip: expected some of ",
            N * steps.states(), " flipped images, got ", count, " from ", first, " on");
  const kernels::FlipShape s{extent(N),         extent(H * W),          extent(C), extent(steps.begin),
                             extent(steps.end), extent(steps.per_step), channels,  first,
                             extent(count)};
  Tensor y({count, H, W, C}, images.device(), images.dtype());
  on(images.device(), [&](const auto& backend) {
    kernels::flip(backend, s, images.view(), ranks.data<std::int32_t>(), baseline.data(), y.mutable_view());
  });
  return y;
}

void class_score(const Tensor& logits,
                 const Tensor& classes,
                 std::int64_t first,
                 std::int64_t per_class,
                 std::int64_t column,
                 Tensor* scores) {
  require_floating("class_score", "logits", logits);
  require_rank("class_score", "logits (R,K)", logits, 2);
  const Device device = logits.device();
  require("class_score", "logits", logits, DType::f32, logits.shape(), device);
  require("class_score", "classes", classes, DType::i32, {classes.size()}, device);
  require("class_score", "scores", *scores, DType::f32, scores->shape(), device);
  require_labels("class_score", classes, logits.dim(1));
  CLX_CHECK(per_class > 0 && column >= 0 && scores->rank() == 2 && scores->dim(0) == classes.size() &&
                column + per_class <= scores->dim(1),
            "class_score: expected room for ", per_class, " scores of each of ", classes.size(),
            " classes from column ", column, " on, got ", scores->shape());
  CLX_CHECK(first >= 0 && first + logits.dim(0) <= classes.size() * per_class,
            "class_score: expected some of ", classes.size() * per_class, " rows, got ", logits.dim(0),
            " from ", first, " on");
  on(device, [&](const auto& backend) {
    kernels::class_score(backend, extent(logits.dim(0)), extent(logits.dim(1)), first, extent(per_class),
                         logits.data(), classes.data<std::int32_t>(), scores->dim(1),
                         scores->mutable_data() + column);
  });
}

Tensor curve_areas(const Tensor& curves) {
  require_floating("curve_areas", "curves", curves);
  require_rank("curve_areas", "curves (N,S+1)", curves, 2);
  require("curve_areas", "curves", curves, DType::f32, curves.shape(), curves.device());
  CLX_CHECK(curves.dim(1) > 2, "curve_areas: expected at least 2 steps, got ", curves.dim(1) - 1);
  Tensor areas({curves.dim(0), 3}, curves.device());
  on(curves.device(), [&](const auto& backend) {
    kernels::curve_areas(backend, extent(curves.dim(0)), extent(curves.dim(1) - 1), curves.data(),
                         areas.mutable_data());
  });
  return areas;
}

}  // namespace clx
