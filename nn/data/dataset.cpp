#include "nn/data/dataset.h"

#include <algorithm>

#include "runtime/check.h"

namespace clx::data {

Tensor Dataset::label_tensor() const {
  return Tensor::from_host({size()}, labels);
}

Dataset Dataset::first(std::int64_t count) const {
  CLX_CHECK(count >= 1, name, ": expected a limit of at least one image, got ", count);
  const std::int64_t n = std::min(count, size());
  Dataset part = *this;
  part.images = images.slice(0, n);
  part.labels.resize(static_cast<std::size_t>(n));
  if (masks.defined()) part.masks = masks.slice(0, n);
  return part;
}

}  // namespace clx::data
