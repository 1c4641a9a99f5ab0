// Batches of a few classes with equally many images of each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/data/order.h"

namespace clx::data {

struct PkOptions {
  int classes = 8;            // P: classes of a batch
  int images = 16;            // K: images of each
  int shares = 1, share = 0;  // as OrderOptions
};

/// PK sampling: a batch is P classes with K different images of each, class by class, so that every image
/// has positives. Classes are drawn anew for each batch; a class's images are dealt from a shuffled deck,
/// which is shuffled again when fewer than K are left.
///
/// Notes     An epoch is count/(P·K) batches, rounded down. Some images come more than once, others not at
///           all, more so where classes differ in size.
/// Source    Hermans et al. 2017, arXiv:1703.07737, §2
class PkOrder final : public Order {
 public:
  /// Begins with epoch 0. Throws Error, naming the class, if a class has fewer than K images, and if there
  /// are fewer than P classes, P or K is below 1, or the batch cannot be shared evenly.
  PkOrder(const std::vector<std::int32_t>& labels,
          const std::vector<std::string>& class_names,
          std::uint64_t seed,
          const PkOptions& options = {});

  void start_epoch(int epoch) override;
  std::int64_t batches() const override { return batches_; }
  std::vector<std::int64_t> batch(std::int64_t index) const override;

 private:
  std::vector<std::vector<std::int64_t>> of_class_;
  std::uint64_t seed_;
  PkOptions options_;
  std::int64_t batches_;
  std::vector<std::int64_t> order_;  // all batches of the epoch
};

}  // namespace clx::data
