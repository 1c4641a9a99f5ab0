#include "nn/initializer.h"

#include <cmath>

#include "runtime/check.h"
#include "runtime/random.h"

namespace clx::nn {

template <class Draw>
Tensor Initializer::drawn(const Shape& shape, const Draw& draw) {
  const std::uint32_t index = next_++;
  if (!seed_) return Tensor::zeros(shape);
  Tensor t(shape);
  float* values = t.mutable_data();
  for (std::int64_t e = 0; e < t.size(); ++e) {
    Random random(*seed_, Purpose::init, index, static_cast<std::uint64_t>(e));
    values[e] = draw(random);
  }
  return t;
}

Tensor Initializer::kaiming_normal(const Shape& filters) {
  CLX_CHECK(filters.rank() == 4 && filters.size() > 0, "kaiming_normal: expected filters (K,R,S,C), got ",
            filters);
  const auto fan_out = static_cast<double>(filters[0] * filters[1] * filters[2]);
  const auto deviation = static_cast<float>(std::sqrt(2.0 / fan_out));
  return normal(filters, deviation);
}

Tensor Initializer::normal(const Shape& shape, float deviation) {
  return drawn(shape, [deviation](Random& random) { return deviation * random.normal(); });
}

Tensor Initializer::uniform(const Shape& shape, float bound) {
  return drawn(shape, [bound](Random& random) { return random.uniform(-bound, bound); });
}

Tensor Initializer::constant(const Shape& shape, float value) {
  ++next_;
  return Tensor::full(shape, value);
}

}  // namespace clx::nn
