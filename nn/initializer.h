// The values that parameters start with.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/tensor.h"

namespace clx::nn {

/// Makes parameters, on the cpu. Element e of the i-th parameter made is a function of (seed, i, e) alone.
/// Without a seed all random parameters are zero: for networks whose weights are loaded next.
class Initializer {
 public:
  explicit Initializer(std::optional<std::uint64_t> seed) : seed_(seed) {}

  /// Normal with mean 0 and standard deviation √(2/(K·R·S)) for filters (K,R,S,C).
  /// Source: He et al. 2015, arXiv:1502.01852, eq. 14 (fan out, ReLU gain)
  Tensor kaiming_normal(const Shape& filters);

  /// Normal with mean 0.
  Tensor normal(const Shape& shape, float deviation);

  /// Uniform in [−bound, bound).
  Tensor uniform(const Shape& shape, float bound);

  Tensor constant(const Shape& shape, float value);

 private:
  template <class Draw>
  Tensor drawn(const Shape& shape, const Draw& draw);

  std::optional<std::uint64_t> seed_;
  std::uint32_t next_ = 0;
};

}  // namespace clx::nn
