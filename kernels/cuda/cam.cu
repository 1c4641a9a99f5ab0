// What: from activations and channel weights, or a raw map, to a map of the image's size, as kernels/cam.h
// says. Who: a block per sample: a warp per position for the weighted sum over the channels; then a thread
// per value. Where: registers; the raw map and the map are read again from the caches. Limit: memory: the
// activations are read once, a map is written, and rewritten normalised.
#include "kernels/cam.h"

#include <cmath>

#include "kernels/bilinear.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256;
constexpr float kEpsilon = 1e-7f;

__device__ __forceinline__ float blend(float x, float y, float a) {
  return __fadd_rn(__fmul_rn(x, 1 - a), __fmul_rn(y, a));
}

/// (max(v, 0) − least)/divisor
struct Scale {
  float least, divisor;
  __device__ __forceinline__ float operator()(float v) const {
    return __fdiv_rn((v < 0 ? 0.f : v) - least, divisor);
  }
};

__device__ void finish(const CamShape& s, const float* raw, float* map, std::uint8_t* zero) {
  const int positions = s.h * s.w;
  float low = INFINITY, high = -INFINITY;
  int bad = 0;
  for (int i = threadIdx.x; i < positions; i += kThreads) {
    const float v = raw[i] < 0 ? 0.f : raw[i];
    bad |= isnan(v);
    low = fminf(low, v);
    high = fmaxf(high, v);
  }
  const bool finite = __syncthreads_or(bad) == 0;
  low = -block_max<kThreads>(-low);
  high = block_max<kThreads>(high);
  if (threadIdx.x == 0) *zero = finite && !(high > 0);
  const Scale small{low, kEpsilon + (high - low)};

  low = INFINITY;
  high = -INFINITY;
  const std::int64_t pixels = std::int64_t(s.H) * s.W;
  for (std::int64_t p = threadIdx.x; p < pixels; p += kThreads) {
    const int i = static_cast<int>(p / s.W), j = static_cast<int>(p % s.W);
    const BilinearTap row = bilinear_tap(s.h, s.H, i, false), column = bilinear_tap(s.w, s.W, j, true);
    const auto across = [&](int r) {
      return blend(small(raw[r * s.w + column.s]), small(raw[r * s.w + column.next]), column.a);
    };
    const float v = finite ? blend(across(row.s), across(row.next), row.a) : NAN;
    map[p] = v;
    low = fminf(low, v);
    high = fmaxf(high, v);
  }
  low = -block_max<kThreads>(-low);
  high = block_max<kThreads>(high);
  const Scale large{low, kEpsilon + (high - low)};
  for (std::int64_t p = threadIdx.x; p < pixels; p += kThreads)
    map[p] = large(map[p]);
}

__global__ void __launch_bounds__(kThreads)
    finish_kernel(const CamShape s, const float* raw, float* map, std::uint8_t* zero) {
  const std::int64_t n = blockIdx.x;
  finish(s, raw + n * s.h * s.w, map + n * s.H * s.W, zero + n);
}

template <class T>
__global__ void __launch_bounds__(kThreads) weighted_kernel(
    const CamShape s, const float* alpha, const T* x, float* raw, float* map, std::uint8_t* zero) {
  const std::int64_t n = blockIdx.x;
  const int positions = s.h * s.w, lane = threadIdx.x % 32;
  alpha += n * s.C;
  x += n * positions * s.C;
  raw += n * positions;
  for (int p = threadIdx.x / 32; p < positions; p += kThreads / 32) {
    double sum = 0;
    for (int k = lane; k < s.C; k += 32)
      sum += static_cast<double>(alpha[k]) *
             static_cast<double>(static_cast<float>(x[std::int64_t(p) * s.C + k]));
    sum = warp_sum(sum);
    if (lane == 0) raw[p] = static_cast<float>(sum);
  }
  __syncthreads();  // the raw map is written
  finish(s, raw, map + n * s.H * s.W, zero + n);
}

}  // namespace

void finish_cam(const Gpu& gpu, const CamShape& s, const float* raw, float* map, std::uint8_t* zero) {
  launch(finish_kernel, dim3(s.N), kThreads, 0, gpu, s, raw, map, zero);
}

void weighted_cam(const Gpu& gpu,
                  const CamShape& s,
                  const float* alpha,
                  ConstView x,
                  float* raw,
                  float* map,
                  std::uint8_t* zero) {
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    launch(weighted_kernel<T>, dim3(s.N), kThreads, 0, gpu, s, alpha, x.as<T>(), raw, map, zero);
  });
}

}  // namespace clx::kernels
