// Images in memory, where a device makes batches of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/staging.h"
#include "runtime/tensor.h"

namespace clx::data {

/// Keeps all images on the device if they take up no more than `most_bytes` there (default: a quarter of what
/// is free); otherwise they stay on the host, and the rows of a batch are copied when they are needed. On a
/// CPU they are always where they are.
class DeviceImages {
 public:
  /// images (M,H,W,C) u8 on the cpu.
  DeviceImages(const Tensor& images, Device device, std::optional<std::int64_t> most_bytes = {});

  bool kept() const { return kept_; }
  /// All of them, for augment_images; if they are kept.
  const Tensor& all() const { return images_; }
  /// Those of `samples` (N,H,W,C), for augment_batch; if they are not. Queued (runtime/staging.h).
  Tensor rows(const std::vector<std::int64_t>& samples);

 private:
  bool kept_;
  Tensor images_;
  Staging staging_;
};

/// Sample ids as a tensor (N) i64, queued.
Tensor send_ids(Staging& staging, const std::vector<std::int64_t>& samples);

}  // namespace clx::data
