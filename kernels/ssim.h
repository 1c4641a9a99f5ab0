// Structural similarity of pairs of maps.
#pragma once

#include "kernels/backend.h"

namespace clx::kernels {

/// The largest window is 2·kMostSsimRadius + 1 wide.
inline constexpr int kMostSsimRadius = 15;

/// N pairs of maps (H,W) under windows of (2·radius + 1)² pixels, H and W at least that.
struct SsimShape {
  int N = 0, H = 0, W = 0;
  int radius = 3;
  bool uniform = true;  // all weights are equal
  double weight[kMostSsimRadius + 1] =
      {};                 // else: of a row or column this far from the centre; they sum to 1
  double covariance = 1;  // factor of the variances: n/(n − 1) for those of samples
  double c1 = 0, c2 = 0;
  constexpr int window() const { return 2 * radius + 1; }
  constexpr int rows() const { return H - 2 * radius; }  // of windows that lie within the map
  constexpr int columns() const { return W - 2 * radius; }
};

/// y[n] = mean over the windows that lie within the map of
///   (2·μ_a·μ_b + c1)·(2·σ_ab + c2) / ((μ_a² + μ_b² + c1)·(σ_a² + σ_b² + c2)),
/// μ the weighted means of a window, σ its variances and covariance times `covariance`. In double precision.
void ssim(const Cpu&, const SsimShape&, const float* a, const float* b, float* y);
void ssim(const Cuda&, const SsimShape&, const float* a, const float* b, float* y);
void ssim(const Emulated&, const SsimShape&, const float* a, const float* b, float* y);

}  // namespace clx::kernels
