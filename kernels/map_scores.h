// Numbers that describe a map, or a map and the mask of an object. All sums in double precision.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace clx::kernels {

/// What a map's values alone amount to. Where all are 0 or one is NaN, entropy and gini are NaN.
struct MapScores {
  double entropy = 0;  // −Σ p·ln p, p = |a|/Σ|a|, 0·ln 0 = 0
  double gini = 0;  // Σ_i (2i − n − 1)·v_i/(n·Σ v), v = |a|/max|a| + 1e-7 ascending; 0 without ranks
  double effective = 0;  // how many |a|/max|a| exceed the threshold, in f32
  double zero = 0;       // 1 where all values are 0, else 0
};

/// What a map and a mask amount to. Where the mask is empty, all values are 0 or one is NaN, all are NaN but
/// `area`.
struct MaskScores {
  double hit = 0;    // 1 if a pixel of the largest value lies on the mask, else 0
  double share = 0;  // Σ_mask |a|/Σ |a|
  double mass = 0;   // Σ_mask a/Σ a
  double top = 0;    // the share of the |mask| pixels of the lowest ranks that lie on it; 0 without ranks
  double area = 0;   // |mask|/n
};

/// scores[n] of map n of `pixels` values; ranks (N,pixels) are those of the magnitudes, or null.
void map_scores(const Cpu&,
                int N,
                int pixels,
                float threshold,
                const float* maps,
                const std::int32_t* ranks,
                MapScores* scores);
void map_scores(const Cuda&,
                int N,
                int pixels,
                float threshold,
                const float* maps,
                const std::int32_t* ranks,
                MapScores* scores);
void map_scores(const Emulated&,
                int N,
                int pixels,
                float threshold,
                const float* maps,
                const std::int32_t* ranks,
                MapScores* scores);

/// scores[n] of map n and mask n, an object where it is not 0; ranks (N,pixels) are those of the map, or
/// null.
void mask_scores(const Cpu&,
                 int N,
                 int pixels,
                 const float* maps,
                 const std::uint8_t* masks,
                 const std::int32_t* ranks,
                 MaskScores* scores);
void mask_scores(const Cuda&,
                 int N,
                 int pixels,
                 const float* maps,
                 const std::uint8_t* masks,
                 const std::int32_t* ranks,
                 MaskScores* scores);
void mask_scores(const Emulated&,
                 int N,
                 int pixels,
                 const float* maps,
                 const std::uint8_t* masks,
                 const std::int32_t* ranks,
                 MaskScores* scores);

}  // namespace clx::kernels
