// A stream of random numbers on the host, keyed by what it is for.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "kernels/philox.h"

namespace clx {

/// Philox4x32-10 read word by word. Two streams with the same key are equal; streams of different
/// purpose, epoch or sample share nothing.
class Random {
 public:
  Random(std::uint64_t seed, Purpose purpose, std::uint32_t epoch = 0, std::uint64_t sample = 0)
      : seed_(seed), purpose_(purpose), epoch_(epoch), sample_(sample) {}

  std::uint32_t word() {
    if (used_ == 4) {
      block_ = philox(seed_, purpose_, epoch_, sample_, index_++);
      used_ = 0;
    }
    return block_.v[used_++];
  }
  /// In [0,1).
  float uniform() { return uniform01(word()); }
  /// In [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// 0 … n − 1.
  std::uint32_t below(std::uint32_t n) { return uniform_below(word(), n); }
  /// Standard normal, by the Box–Muller transform.
  float normal() {
    const double radius = std::sqrt(-2.0 * std::log((word() + 1.0) * 0x1p-32));
    return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * word() * 0x1p-32));
  }

 private:
  std::uint64_t seed_;
  Purpose purpose_;
  std::uint32_t epoch_;
  std::uint64_t sample_;
  std::uint32_t index_ = 0;
  Philox4 block_{};
  int used_ = 4;
};

}  // namespace clx
