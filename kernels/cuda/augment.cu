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
#include "kernels/philox.h"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kTile = 1024, kMostImages = 32768;

/// Where in the padded image the crop begins, and whether it is then mirrored.
struct Draw {
  int top, left;
  bool mirror;
};

// Word 0 is the top and word 1 the left of the crop, uniform over 2·padding + 1; word 2 below one half
// mirrors. The order is: crop first, then mirror the cropped image.
__device__ Draw draw(const GatherShape& shape, const StepState* state, std::int64_t sample) {
  if (shape.padding == 0 && !shape.flip) return {0, 0, false};
  const Philox4 words = philox(state->seed, Purpose::crop_flip, static_cast<std::uint32_t>(state->epoch),
                               static_cast<std::uint64_t>(sample));
  const auto choices = static_cast<std::uint32_t>(2 * shape.padding + 1);
  return {static_cast<int>(uniform_below(words.v[0], choices)),
          static_cast<int>(uniform_below(words.v[1], choices)), shape.flip && uniform01(words.v[2]) < 0.5f};
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
    const Draw crop = draw(shape, state, sample);
    const std::uint8_t* image = images + sample * size;
#pragma unroll
    for (int k = 0; k < kTile; k += kThreads) {
      const int i = blockIdx.x * kTile + k + threadIdx.x;
      if (i >= size) break;
      const int c = i % shape.C, w = i / shape.C % shape.W, h = i / shape.C / shape.W;
      const int from_h = h + crop.top - shape.padding;
      const int from_w = (crop.mirror ? shape.W - 1 - w : w) + crop.left - shape.padding;
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
