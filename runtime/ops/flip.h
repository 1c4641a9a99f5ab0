// Pixel flipping on the device: flipped images, their scores, the areas under the curves of scores.
#pragma once

#include "kernels/flip.h"
#include "runtime/tensor.h"

namespace clx {

using kernels::FlipValue;

/// One value per image and channel that may replace pixels: the least of the image, over all its channels, or
/// the mean of each channel.
///
/// Shapes    images (N,H,W,C) f32 or bf16 → (N,C) f32
/// Throws    Error unless images is (N,H,W,C)
Tensor flip_baseline(const Tensor& images, FlipValue value);

/// The states of an image after begin, begin + 1, …, end − 1 steps of `per_step` ranks.
struct FlipSteps {
  std::int64_t begin = 0, end = 1, per_step = 0;
  std::int64_t states() const { return end - begin; }
};

/// The flipped images number first … first + count − 1 of a list that has, image after image, all states of
/// `steps`: a value of image n is baseline[n,c] where its rank is below step·per_step.
///
/// Shapes    images (N,H,W,C) f32 or bf16, ranks (N,H,W) or (N,H,W,C) i32 (rank_maps), baseline (N,C) f32
///           → (count,H,W,C) of images' type
/// Gradient  none
/// Throws    Error if shapes or devices differ, or the list is shorter than first + count
Tensor flip(const Tensor& images,
            const Tensor& ranks,
            const Tensor& baseline,
            const FlipSteps& steps,
            std::int64_t first,
            std::int64_t count);

/// The softmax scores of rows, number first, first + 1, … of a list with `per_class` rows for each class,
/// written to the columns of *scores from `column` on: with n, s = divmod(first + i, per_class),
/// scores[n,column + s] = softmax(logits_i)[classes[n]].
///
/// Shapes    logits (R,K) f32, classes (N) i32, scores (N,≥ column + per_class) f32
/// Throws    Error if shapes or devices differ or (where reading them does not wait) a class is not one of K
void class_score(const Tensor& logits,
                 const Tensor& classes,
                 std::int64_t first,
                 std::int64_t per_class,
                 std::int64_t column,
                 Tensor* scores);

/// Areas under the rows p_0, p_1, …, p_S of curves by the trapezoidal rule, per step: without p_0, with it,
/// and the first divided by p_0.
///
///   Σ_{s=1}^{S−1} (p_s + p_{s+1})/2 / (S − 1),   Σ_{s=0}^{S−1} (p_s + p_{s+1})/2 / S
///
/// Shapes    curves (N,S+1) f32, S > 1 → (N,3)
/// Throws    Error if there is no such S
Tensor curve_areas(const Tensor& curves);

}  // namespace clx
