// Pixel flipping: images whose most important pixels are replaced, and what their scores amount to.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace clx::kernels {

/// Of N images (pixels,C), `count` flipped ones are written: those of a list that has, image after image, its
/// states after begin, begin + 1, …, end − 1 steps; the first written is number `first` of the list.
struct FlipShape {
  int N = 0, pixels = 0, C = 0;
  int begin = 0, end = 1, per_step = 0;  // per_step ranks are removed at each step
  bool channels = false;                 // ranks (N,pixels,C), else (N,pixels)
  std::int64_t first = 0;
  int count = 0;
};

/// With n, s = divmod(first + k, end − begin): y[k,p,c] = baseline[n,c] where the rank of (n,p,c) is below
/// (begin + s)·per_step, else x[n,p,c]. y has x's dtype, to which the baseline is rounded.
void flip(
    const Cpu&, const FlipShape&, ConstView x, const std::int32_t* ranks, const float* baseline, View y);
void flip(
    const Cuda&, const FlipShape&, ConstView x, const std::int32_t* ranks, const float* baseline, View y);
void flip(
    const Emulated&, const FlipShape&, ConstView x, const std::int32_t* ranks, const float* baseline, View y);

/// What replaces the pixels of an image.
enum class FlipValue { least, mean };

/// baseline[n,c] = the least value of image n over its pixels and channels / the mean of its channel c.
void flip_baseline(const Cpu&, int N, int pixels, int C, FlipValue, ConstView x, float* baseline);
void flip_baseline(const Cuda&, int N, int pixels, int C, FlipValue, ConstView x, float* baseline);
void flip_baseline(const Emulated&, int N, int pixels, int C, FlipValue, ConstView x, float* baseline);

/// With n, s = divmod(first + i, per_class): score[n·stride + s] = softmax(logits_i)[classes[n]] for the rows
/// i of logits (rows,cols); the exponentials are summed in double precision.
void class_score(const Cpu&,
                 int rows,
                 int cols,
                 std::int64_t first,
                 int per_class,
                 const float* logits,
                 const std::int32_t* classes,
                 std::int64_t stride,
                 float* score);
void class_score(const Cuda&,
                 int rows,
                 int cols,
                 std::int64_t first,
                 int per_class,
                 const float* logits,
                 const std::int32_t* classes,
                 std::int64_t stride,
                 float* score);
void class_score(const Emulated&,
                 int rows,
                 int cols,
                 std::int64_t first,
                 int per_class,
                 const float* logits,
                 const std::int32_t* classes,
                 std::int64_t stride,
                 float* score);

/// Three areas under each row p_0, p_1, …, p_steps of `curves` (N, steps + 1), by the trapezoidal rule with a
/// width of 1, in double precision, into areas (N,3):
///   from p_1 on, divided by steps − 1;  from p_0 on, divided by steps;  the first, divided by p_0.
void curve_areas(const Cpu&, int N, int steps, const float* curves, float* areas);
void curve_areas(const Cuda&, int N, int steps, const float* curves, float* areas);
void curve_areas(const Emulated&, int N, int steps, const float* curves, float* areas);

}  // namespace clx::kernels
