// What: random crop or resized crop, mirror, colours, grayscale, blur and normalisation of u8 images, as
// kernels/augment.h says, in up to five launches that depend on the options alone, never on what was drawn.
// Who: draw_kernel: a thread per image. resample_kernel, color_kernel, blur_kernel: blockIdx.y is the image,
//   a thread a pixel with its C ≤ 4 channels. gray_mean_kernel: a block per image.
// Where: the draws and one or two f32 copies of the batch in the workspace.
// Limit: memory: each pass reads and writes 4 bytes per element (the filter's neighbours come from cache).
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/augment.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"
#include "kernels/resample.h"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kMostImages = 32768;

__global__ void __launch_bounds__(kThreads) draw_kernel(AugmentShape shape,
                                                        const std::int64_t* __restrict__ samples,
                                                        const StepState* __restrict__ state,
                                                        Augmentation* __restrict__ drawn) {
  const int n = blockIdx.x * kThreads + threadIdx.x;
  if (n < shape.N)
    drawn[n] =
        draw_augmentation(shape.rule, shape.H, shape.W, state->seed, static_cast<std::uint32_t>(state->epoch),
                          static_cast<std::uint64_t>(samples[n]), static_cast<std::uint32_t>(shape.view));
}

/// Where a pixel of image n begins in a batch of its output size.
__device__ std::int64_t offset(const AugmentShape& shape, int n, int pixel) {
  return (std::int64_t(n) * shape.height * shape.width + pixel) * shape.C;
}

__global__ void __launch_bounds__(kThreads, 4) resample_kernel(AugmentShape shape,
                                                               const std::uint8_t* __restrict__ images,
                                                               const std::int64_t* __restrict__ samples,
                                                               const Augmentation* __restrict__ drawn,
                                                               float* __restrict__ out) {
  const int pixel = blockIdx.x * kThreads + threadIdx.x;
  if (pixel >= shape.height * shape.width) return;
  const int h = pixel / shape.width, w = pixel % shape.width, C = shape.C;
  for (int n = blockIdx.y; n < shape.N; n += gridDim.y) {
    const Box box = drawn[n].box;
    const int column = drawn[n].mirrored ? shape.width - 1 - w : w;
    const std::uint8_t* image =
        images + (shape.in_order ? std::int64_t(n) : samples[n]) * shape.H * shape.W * C;
    float sum[4] = {0, 0, 0, 0};
    if (shape.rule.resize) {
      const FilterSpan rows = filter_span(box.height, shape.height, h);
      const FilterSpan columns = filter_span(box.width, shape.width, column);
      float row_weights = 0, column_weights = 0;
      for (int j = 0; j < columns.count; ++j)
        column_weights += static_cast<float>(columns.weight(j));
      for (int i = 0; i < rows.count; ++i) {
        const auto weight = static_cast<float>(rows.weight(i));
        row_weights += weight;
        const std::uint8_t* source =
            image + (std::int64_t(box.top + rows.first + i) * shape.W + box.left + columns.first) * C;
        for (int j = 0; j < columns.count; ++j) {
          const float both = weight * static_cast<float>(columns.weight(j));
          for (int c = 0; c < C; ++c)
            sum[c] += both * static_cast<float>(source[j * C + c]);
        }
      }
      const float scale = 1 / (255 * row_weights * column_weights);
      for (int c = 0; c < C; ++c)
        sum[c] *= scale;
    } else {
      const int y = h + box.top, x = column + box.left;
      if (y >= 0 && y < shape.H && x >= 0 && x < shape.W)
        for (int c = 0; c < C; ++c)
          sum[c] = static_cast<float>(image[(std::int64_t(y) * shape.W + x) * C + c]) / 255;
    }
    for (int c = 0; c < C; ++c)
      out[offset(shape, n, pixel) + c] = sum[c];
  }
}

struct Rgb {
  float r, g, b;
};

__device__ float gray_of(const Rgb& p) {
  return 0.2989f * p.r + 0.587f * p.g + 0.114f * p.b;
}

__device__ Rgb blend(const Rgb& p, float factor, float with) {
  const float rest = (1 - factor) * with;
  return {fminf(fmaxf(factor * p.r + rest, 0), 1), fminf(fmaxf(factor * p.g + rest, 0), 1),
          fminf(fmaxf(factor * p.b + rest, 0), 1)};
}

/// HSV with H in sixths, and back: channel = V − (V − min)·clamp(min(k, 4 − k), 0, 1), k = (shift + H) mod 6
/// with the shifts 5, 3 and 1 of red, green and blue.
__device__ Rgb turn_hue(const Rgb& p, float turns) {
  const float most = fmaxf(fmaxf(p.r, p.g), p.b), least = fminf(fminf(p.r, p.g), p.b);
  const float chroma = most - least;
  if (!(chroma > 0)) return p;
  float hue = most == p.r   ? (p.g - p.b) / chroma
              : most == p.g ? 2 + (p.b - p.r) / chroma
                            : 4 + (p.r - p.g) / chroma;
  hue += 6 * turns;
  const auto channel = [&](float shift) {
    float k = hue + shift;
    k -= 6 * floorf(k / 6);
    return most - chroma * fminf(fmaxf(fminf(k, 4 - k), 0), 1);
  };
  return {channel(5), channel(3), channel(1)};
}

/// The drawn colour operations from number `begin` to `end` (or to the contrast, if `until_contrast`).
__device__ Rgb change_colors(Rgb p, const Augmentation& a, float gray_mean, bool until_contrast) {
  for (int i = 0; i < a.color_ops; ++i) {
    const ColorOp op = a.order[i];
    const float factor = a.factor[static_cast<int>(op)];
    if (op == ColorOp::contrast && until_contrast) break;
    if (op == ColorOp::hue)
      p = turn_hue(p, factor);
    else
      p = blend(p, factor, op == ColorOp::brightness ? 0 : op == ColorOp::contrast ? gray_mean : gray_of(p));
  }
  return p;
}

/// means[n] = the mean gray of image n as its contrast finds it. Grid: (N).
__global__ void __launch_bounds__(kThreads) gray_mean_kernel(AugmentShape shape,
                                                             const Augmentation* __restrict__ drawn,
                                                             const float* __restrict__ x,
                                                             float* __restrict__ means) {
  const int n = blockIdx.x, pixels = shape.height * shape.width;
  const Augmentation a = drawn[n];
  float sum = 0;
  for (int pixel = threadIdx.x; pixel < pixels; pixel += kThreads) {
    const float* p = x + offset(shape, n, pixel);
    sum += gray_of(change_colors({p[0], p[1], p[2]}, a, 0, true));
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) means[n] = sum / static_cast<float>(pixels);
}

/// Colours and grayscale; in place if `y` is `x`.
template <class T>
__global__ void __launch_bounds__(kThreads) color_kernel(AugmentShape shape,
                                                         Normalization by,
                                                         const Augmentation* __restrict__ drawn,
                                                         const float* __restrict__ means,
                                                         const float* x,
                                                         T* y) {
  const int pixel = blockIdx.x * kThreads + threadIdx.x;
  if (pixel >= shape.height * shape.width) return;
  for (int n = blockIdx.y; n < shape.N; n += gridDim.y) {
    const std::int64_t at = offset(shape, n, pixel);
    float value[4];
    for (int c = 0; c < shape.C; ++c)
      value[c] = x[at + c];
    const Augmentation a = drawn[n];
    if (a.color_ops > 0 || a.gray) {
      Rgb p = change_colors({value[0], value[1], value[2]}, a, means[n], false);
      if (a.gray) p.r = p.g = p.b = gray_of(p);
      value[0] = p.r, value[1] = p.g, value[2] = p.b;
    }
    for (int c = 0; c < shape.C; ++c)
      y[at + c] = static_cast<T>((value[c] - by.mean[c]) / by.std[c]);
  }
}

/// One axis of the blur (rows if kRows), then the normalisation; a copy where nothing was drawn.
template <bool kRows, class T>
__global__ void __launch_bounds__(kThreads) blur_kernel(AugmentShape shape,
                                                        Normalization by,
                                                        const Augmentation* __restrict__ drawn,
                                                        const float* __restrict__ x,
                                                        T* __restrict__ y) {
  const int pixel = blockIdx.x * kThreads + threadIdx.x;
  if (pixel >= shape.height * shape.width) return;
  const int h = pixel / shape.width, w = pixel % shape.width;
  for (int n = blockIdx.y; n < shape.N; n += gridDim.y) {
    const float sigma = drawn[n].sigma;
    const int radius = sigma > 0 ? kBlurRadius : 0;
    float sum[4] = {0, 0, 0, 0}, weights = 0;
    for (int k = -radius; k <= radius; ++k) {
      const float distance = sigma > 0 ? static_cast<float>(k) / sigma : 0.0f;
      const float weight = expf(-0.5f * distance * distance);
      weights += weight;
      const int length = kRows ? shape.height : shape.width;
      int i = (kRows ? h : w) + k;
      i = i < 0 ? -i : i;
      i = i >= length ? 2 * length - 2 - i : i;
      const std::int64_t from = offset(shape, n, kRows ? i * shape.width + w : h * shape.width + i);
      for (int c = 0; c < shape.C; ++c)
        sum[c] += weight * x[from + c];
    }
    for (int c = 0; c < shape.C; ++c)
      y[offset(shape, n, pixel) + c] = static_cast<T>((sum[c] / weights - by.mean[c]) / by.std[c]);
  }
}

}  // namespace

void augment_images(const Gpu& b,
                    const AugmentShape& shape,
                    const Normalization& normalization,
                    const std::uint8_t* images,
                    const std::int64_t* samples,
                    const StepState* state,
                    View y) {
  const int pixels = shape.height * shape.width;
  const auto elements = static_cast<std::size_t>(shape.N) * pixels * shape.C;
  const AugmentRule& rule = shape.rule;
  const bool blurs = rule.blur_p > 0;
  const dim3 grid((pixels + kThreads - 1) / kThreads, std::min(shape.N, kMostImages)), block(kThreads);
  auto* drawn = static_cast<Augmentation*>(b.workspace(shape.N * sizeof(Augmentation)));
  auto* means = static_cast<float*>(b.workspace(shape.N * sizeof(float)));
  auto* x = static_cast<float*>(b.workspace(elements * sizeof(float)));
  launch(draw_kernel, (shape.N + kThreads - 1) / kThreads, block, 0, b, shape, samples, state, drawn);
  launch(resample_kernel, grid, block, 0, b, shape, images, samples, drawn, x);
  if (rule.jitter_p > 0 && rule.contrast > 0)
    launch(gray_mean_kernel, shape.N, block, 0, b, shape, drawn, x, means);
  with_float_type(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (!blurs) {
      launch(color_kernel<T>, grid, block, 0, b, shape, normalization, drawn, means, x, y.as<T>());
      return;
    }
    auto* rows = static_cast<float*>(b.workspace(elements * sizeof(float)));
    launch(color_kernel<float>, grid, block, 0, b, shape, Normalization{}, drawn, means, x, x);
    launch(blur_kernel<true, float>, grid, block, 0, b, shape, Normalization{}, drawn, x, rows);
    launch(blur_kernel<false, T>, grid, block, 0, b, shape, normalization, drawn, rows, y.as<T>());
  });
}

}  // namespace clx::kernels
