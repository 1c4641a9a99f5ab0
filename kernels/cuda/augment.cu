// What: batches out of u8 images on the device: gather by sample id, crop, mirror, normalise; and their
// labels. Who: blockIdx.y is the image of the batch, a block of 256 threads takes 1024 of its H·W·C elements,
// and
//   neighbouring threads write neighbouring elements. The random words depend on the sample alone, so every
//   thread draws the same ones.
// Where: the draw in registers.
// Limit: memory: 1 byte read and 4 (f32) or 2 (bf16) written per element.
#include "kernels/augment.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.h"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kTile = 1024, kMostImages = 32768;

__device__ Augmentation draw(const GatherShape& shape, const StepState* state, std::int64_t sample) {
  Augmentation none;
  none.box = {0, 0, shape.H, shape.W};
  if (shape.padding == 0 && !shape.flip) return none;
  AugmentRule rule;
  rule.padding = shape.padding;
  rule.flip = shape.flip;
  return draw_augmentation(rule, shape.H, shape.W, state->seed, static_cast<std::uint32_t>(state->epoch),
                           static_cast<std::uint64_t>(sample), static_cast<std::uint32_t>(shape.view));
}

template <class T>
__global__ void __launch_bounds__(kThreads) gather_images_kernel(GatherShape shape,
                                                                 Normalization normalization,
                                                                 const std::uint8_t* __restrict__ images,
                                                                 const std::int64_t* __restrict__ samples,
                                                                 const StepState* __restrict__ state,
                                                                 T* __restrict__ y) {
  const int size = shape.H * shape.W * shape.C;
  for (int n = blockIdx.y; n < shape.N; n += gridDim.y) {
    const std::int64_t sample = samples[n];
    const Augmentation drawn = draw(shape, state, sample);
    const std::uint8_t* image = images + (shape.in_order ? n : sample) * size;
#pragma unroll
    for (int k = 0; k < kTile; k += kThreads) {
      const int i = blockIdx.x * kTile + k + threadIdx.x;
      if (i >= size) break;
      const int c = i % shape.C, w = i / shape.C % shape.W, h = i / shape.C / shape.W;
      const int from_h = h + drawn.box.top;
      const int from_w = (drawn.mirrored ? shape.W - 1 - w : w) + drawn.box.left;
      const bool inside = from_h >= 0 && from_h < shape.H && from_w >= 0 && from_w < shape.W;
      const std::uint8_t pixel = inside ? image[(from_h * shape.W + from_w) * shape.C + c] : std::uint8_t(0);
      const float value = (static_cast<float>(pixel) / 255.0f - normalization.mean[c]) / normalization.std[c];
      y[std::int64_t(n) * size + i] = static_cast<T>(value);
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    gather_labels_kernel(int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y) {
  const int n = blockIdx.x * blockDim.x + threadIdx.x;
  if (n < N) y[n] = labels[samples[n]];
}

}  // namespace

void gather_images(const Gpu& b,
                   const GatherShape& shape,
                   const Normalization& normalization,
                   const std::uint8_t* images,
                   const std::int64_t* samples,
                   const StepState* state,
                   View y) {
  const dim3 grid((shape.H * shape.W * shape.C + kTile - 1) / kTile, std::min(shape.N, kMostImages));
  with_float_type(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(gather_images_kernel<T>, grid, dim3(kThreads), 0, b, shape, normalization, images, samples, state,
           y.as<T>());
  });
}

void gather_labels(
    const Gpu& b, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y) {
  const dim3 grid((N + kThreads - 1) / kThreads);
  launch(gather_labels_kernel, grid, dim3(kThreads), 0, b, N, labels, samples, y);
}

}  // namespace clx::kernels
