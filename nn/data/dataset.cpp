#include "nn/data/dataset.h"

#include <algorithm>
#include <utility>

#include "nn/data/image_source.h"
#include "runtime/check.h"

namespace clx::data {

Tensor Dataset::label_tensor() const {
  return Tensor::from_host({size()}, labels);
}

Dataset Dataset::first(std::int64_t count) const {
  CLX_CHECK(count >= 1, name, ": expected a limit of at least one image, got ", count);
  const std::int64_t n = std::min(count, size());
  Dataset part = *this;
  if (source) {
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < n; ++i) {
      rows.push_back(i * size() / n);
      part.labels[static_cast<std::size_t>(i)] = labels[static_cast<std::size_t>(rows.back())];
    }
    part.labels.resize(static_cast<std::size_t>(n));
    part.source = chosen_images(source, std::move(rows));
    return part;
  }
  part.images = images.slice(0, n);
  part.labels.resize(static_cast<std::size_t>(n));
  if (masks.defined()) part.masks = masks.slice(0, n);
  return part;
}

}  // namespace clx::data
