#include "nn/data/loader.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "runtime/check.h"
#include "runtime/random.h"

namespace clx::data {

EpochOrder::EpochOrder(std::int64_t count,
                       std::int64_t batch_size,
                       std::uint64_t seed,
                       const OrderOptions& options)
    : batch_size_(batch_size), seed_(seed), options_(options) {
  CLX_CHECK(count >= 1 && count <= std::numeric_limits<std::int32_t>::max(),
            "loader: expected at least one sample and fewer than 2³¹, got ", count);
  CLX_CHECK(batch_size >= 1, "loader: expected a batch size of at least 1, got ", batch_size);
  CLX_CHECK(options.shares >= 1 && options.share >= 0 && options.share < options.shares,
            "loader: expected a share below ", options.shares, ", got ", options.share);
  CLX_CHECK(options.shares == 1 || (options.drop_last && batch_size % options.shares == 0),
            "loader: expected full batches of a multiple of ", options.shares,
            " samples, one equal share for each process, got a batch size of ", batch_size);
  order_.resize(static_cast<std::size_t>(count));
  start_epoch(0);
}

void EpochOrder::start_epoch(int epoch) {
  CLX_CHECK(epoch >= 0, "loader: expected an epoch of at least 0, got ", epoch);
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
  if (!options_.shuffle) return;
  Random random(seed_, Purpose::shuffle, static_cast<std::uint32_t>(epoch));
  for (std::size_t i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1], order_[random.below(static_cast<std::uint32_t>(i))]);
}

std::int64_t EpochOrder::batches() const {
  const auto count = static_cast<std::int64_t>(order_.size());
  return options_.drop_last ? count / batch_size_ : (count + batch_size_ - 1) / batch_size_;
}

std::vector<std::int64_t> EpochOrder::batch(std::int64_t index) const {
  CLX_CHECK(index >= 0 && index < batches(), "loader: expected a batch within 0…", batches() - 1, ", got ",
            index);
  const auto count = static_cast<std::int64_t>(order_.size());
  const std::int64_t size = std::min(batch_size_, count - index * batch_size_) / options_.shares;
  const auto first = order_.begin() + index * batch_size_ + options_.share * size;
  return {first, first + size};
}

}  // namespace clx::data
