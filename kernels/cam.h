// Class activation maps: from a layer's activations to maps of the image's size.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace clx::kernels {

/// N raw maps (h,w) of C channels become maps (H,W).
struct CamShape {
  int N = 0, h = 0, w = 0, C = 0;
  int H = 0, W = 0;
};

/// map = scale(resize(scale(raw))) with scale(m) = (p − min p)/(1e-7 + max p − min p), p = max(m, 0), and a
/// bilinear resize (half-pixel centres, clamped edges, rows first), in f32, no product and sum rounded
/// together. zero[n] = 1 where no value of raw map n is above 0, and so all of its map 0. A NaN makes its map
/// NaN.
void finish_cam(const Cpu&, const CamShape&, const float* raw, float* map, std::uint8_t* zero);
void finish_cam(const Cuda&, const CamShape&, const float* raw, float* map, std::uint8_t* zero);
void finish_cam(const Emulated&, const CamShape&, const float* raw, float* map, std::uint8_t* zero);

/// raw[n,i,j] = Σ_k alpha[n,k]·x[n,i,j,k], summed in double precision, then finish_cam.
void weighted_cam(
    const Cpu&, const CamShape&, const float* alpha, ConstView x, float* raw, float* map, std::uint8_t* zero);
void weighted_cam(const Cuda&,
                  const CamShape&,
                  const float* alpha,
                  ConstView x,
                  float* raw,
                  float* map,
                  std::uint8_t* zero);
void weighted_cam(const Emulated&,
                  const CamShape&,
                  const float* alpha,
                  ConstView x,
                  float* raw,
                  float* map,
                  std::uint8_t* zero);

}  // namespace clx::kernels
