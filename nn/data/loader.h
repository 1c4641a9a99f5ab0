// The order in which training sees its samples.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/data/order.h"

namespace clx::data {

struct OrderOptions {
  bool shuffle = true;
  bool drop_last = true;  // leave out the last batch of an epoch if it is not full
  // Where several processes share every batch: of how many equal parts this one's is which.
  int shares = 1, share = 0;
};

/// Batches of sample ids, or this process's share of each. An epoch's order is a function of (seed, epoch,
/// count) alone: not of the batch size, the number of processes, the device or the epochs before, so a
/// resumed run continues it.
class EpochOrder final : public Order {
 public:
  /// Begins with epoch 0. Throws Error if count or batch_size is below 1, or batches cannot be shared
  /// evenly.
  EpochOrder(std::int64_t count,
             std::int64_t batch_size,
             std::uint64_t seed,
             const OrderOptions& options = {});

  void start_epoch(int epoch) override;
  /// Batches per epoch; 0 if drop_last leaves none.
  std::int64_t batches() const override;
  /// The ids of batch 0 … batches() − 1, of which a share is batch_size/shares. Throws Error outside.
  std::vector<std::int64_t> batch(std::int64_t index) const override;

 private:
  std::int64_t batch_size_;
  std::uint64_t seed_;
  OrderOptions options_;
  std::vector<std::int64_t> order_;
};

}  // namespace clx::data
