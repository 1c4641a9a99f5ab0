// Philox4x32-10: random numbers as a pure function of (key, counter), the same on every device.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace clx {

struct Philox4 {
  std::uint32_t v[4];
};

/// What a random number is for; part of the counter, so that two purposes never share a stream.
enum class Purpose : std::uint32_t {
  init = 1,
  shuffle,
  crop_flip,
  noise,
  contrast_class,
  shapes,
  control_map,
  test,
  resized_crop,
  color,
  split
};

/// Ten rounds of Philox on `counter` under `key`.
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, §4.
CLX_HOST_DEVICE inline Philox4 philox(std::uint64_t key, Philox4 c) {
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t(0xD2511F53u) * c.v[0];
    const std::uint64_t b = std::uint64_t(0xCD9E8D57u) * c.v[2];
    c = {{static_cast<std::uint32_t>(b >> 32) ^ c.v[1] ^ k0, static_cast<std::uint32_t>(b),
          static_cast<std::uint32_t>(a >> 32) ^ c.v[3] ^ k1, static_cast<std::uint32_t>(a)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// Four random words for draw `index` of sample `sample` in `epoch`, for one purpose.
CLX_HOST_DEVICE inline Philox4 philox(
    std::uint64_t seed, Purpose purpose, std::uint32_t epoch, std::uint64_t sample, std::uint32_t index = 0) {
  const std::uint64_t key =
      seed ^ (std::uint64_t(epoch) << 32) ^ (std::uint64_t(epoch) * 0x9E3779B97F4A7C15ull);
  return philox(key, {{static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32), index,
                       static_cast<std::uint32_t>(purpose)}});
}

/// Uniform in [0,1), on a grid of 2⁻²⁴.
CLX_HOST_DEVICE inline float uniform01(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

/// Uniform over 0 … n − 1 (bias below n/2³²).
CLX_HOST_DEVICE inline std::uint32_t uniform_below(std::uint32_t word, std::uint32_t n) {
  return static_cast<std::uint32_t>((std::uint64_t(word) * n) >> 32);
}

}  // namespace clx
