// The meaning of gather_images.
#pragma once

#include <vector>

#include "kernels/philox.h"
#include "tests/reference/array.h"

namespace clx::reference {

struct GatherOptions {
  std::vector<double> mean, std;
  int padding = 0;
  bool flip = false;
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
};

/// Image n is images[samples[n]], padded with black on every side; the window of the old size at (top, left)
/// is cut out, half of the windows are mirrored, and (pixel/255 − mean)/std is taken for each channel. Of the
/// four random words of a sample the first draws top, the second left, the third whether to mirror.
inline Array gather_images(const Array& images,
                           const std::vector<std::int64_t>& samples,
                           const GatherOptions& options) {
  const std::int64_t H = images.dim(1), W = images.dim(2), C = images.dim(3);
  Array y({static_cast<std::int64_t>(samples.size()), H, W, C});
  for (std::int64_t n = 0; n < y.dim(0); ++n) {
    const std::int64_t sample = samples[static_cast<std::size_t>(n)];
    const Philox4 word =
        philox(options.seed, Purpose::crop_flip, options.epoch, static_cast<std::uint64_t>(sample));
    const auto offsets = static_cast<std::uint32_t>(2 * options.padding + 1);
    const std::int64_t top = uniform_below(word.v[0], offsets);
    const std::int64_t left = uniform_below(word.v[1], offsets);
    const bool mirrored = options.flip && uniform01(word.v[2]) < 0.5f;
    for (std::int64_t h = 0; h < H; ++h)
      for (std::int64_t w = 0; w < W; ++w)
        for (std::int64_t c = 0; c < C; ++c) {
          const std::int64_t row = h + top - options.padding;
          const std::int64_t column = (mirrored ? W - 1 - w : w) + left - options.padding;
          const bool inside = row >= 0 && row < H && column >= 0 && column < W;
          const double pixel = inside ? images(sample, row, column, c) : 0;
          const auto channel = static_cast<std::size_t>(c);
          const double mean = options.mean.empty() ? 0 : options.mean[channel];
          const double std = options.std.empty() ? 1 : options.std[channel];
          y(n, h, w, c) = (pixel / 255 - mean) / std;
        }
  }
  return y;
}

}  // namespace clx::reference
