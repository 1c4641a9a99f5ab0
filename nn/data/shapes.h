// Procedural images of ten shapes, with exact object masks.
#pragma once

#include <cstdint>

#include "nn/data/dataset.h"

namespace clx::data {

struct ShapesOptions {
  int size = 32;  // height and width in pixels, 16 … 4096
  std::int64_t samples = 4000;
  std::uint64_t seed = 0;
};

/// One object (circle, square, triangle, star, cross, ring, pentagon, heart, crescent or arrow) per image,
/// of random place, scale, rotation (±30°) and colour, on a textured background (smooth noise, gradient,
/// stripes or checks) with distractors (small blobs, lines) behind it; edges are anti-aliased, and a little
/// noise lies over everything. Nothing but the object's outline tells the class.
///
/// Notes   Image i is a function of (seed, split, i, size) alone, whatever the number of samples. Every
///         ten consecutive images show each class once, in random order. The mask is 1 where the object
///         covers at least half of the pixel.
/// Throws  Error if size or samples is out of range
Dataset make_shapes(const ShapesOptions& options, Split split);

}  // namespace clx::data
