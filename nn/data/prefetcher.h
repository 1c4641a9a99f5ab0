// Batches of 8-bit images that loader threads read ahead of the training step. Internal to nn/data.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/data/image_source.h"
#include "runtime/ops/augment.h"

namespace clx::data {

struct PrefetchOptions {
  int views = 1;
  AugmentOptions augment{};  // its resized crop decides on the part of the image, if there is one
  std::uint64_t seed = 0;
  int workers = 0;  // threads; 0: as many as the framework computes with
  int ahead = 2;    // batches that are in the making at once
  OnBadImage on_bad = OnBadImage::fail;
};

/// Reads, crops and resizes; what else is drawn for an image is left to the device. An image that is skipped
/// is replaced by the next one of its class, in the order of the set, that can be read.
class Prefetcher {
 public:
  struct Images {
    std::vector<std::int64_t> samples;
    Tensor pixels;                        // (views·N,side,side,3) u8 on the cpu, view after view
    std::vector<std::string> bad_images;  // why images of this batch were replaced, by place
  };
  using Order = std::function<std::vector<std::int64_t>(std::int64_t batch)>;

  Prefetcher(const Dataset& set, const PrefetchOptions& options);
  ~Prefetcher();

  /// Stops what is under way and begins with batch `first` of `batches`, whose samples `order` tells.
  void start(int epoch, std::int64_t first, std::int64_t batches, Order order);
  /// The next batch. Throws what reading its first bad image threw.
  Images take();

 private:
  class Team;
  std::unique_ptr<Team> team_;
};

}  // namespace clx::data
