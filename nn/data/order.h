// Which samples make up which batch.
#pragma once

#include <cstdint>
#include <vector>

namespace clx::data {

/// The batches of an epoch as sample ids. An epoch's order is a function of (seed, epoch) and the data set
/// alone, never of the epochs before, so a resumed run continues it.
class Order {
 public:
  virtual ~Order() = default;
  virtual void start_epoch(int epoch) = 0;
  /// Batches per epoch.
  virtual std::int64_t batches() const = 0;
  /// The ids of batch 0 … batches() − 1, or this process's share of them. Throws Error outside.
  virtual std::vector<std::int64_t> batch(std::int64_t index) const = 0;
};

}  // namespace clx::data
