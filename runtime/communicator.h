// The processes that train one model together, each on its share of every batch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/process_group.h"

namespace clx {

/// A process that others waited for ended, failed or left.
using kernels::PeerLost;

/// Made before the other processes are forked; each then takes a rank, and all call the same collective ops
/// in the same order. The rule they train by:
///
///   every process computes the outputs of its share of a batch, all_gather makes them those of the whole
///   batch everywhere, every process computes the same loss of it, and the sum of the processes' gradients
///   (all_reduce_gradients) is that loss's gradient.
///
/// So losses over a batch see all of it, and N processes do the work of one.
class Communicator {
 public:
  /// Throws    Error if size is below 1
  explicit Communicator(int size);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// Takes this process's place, once, after the fork. Throws Error if there is no such rank.
  void join(int rank);
  int rank() const { return group_->rank(); }
  int size() const { return group_->size(); }

  /// This process's share of `count` rows, which size() divides: rows begin … end − 1.
  struct Share {
    std::int64_t begin = 0, end = 0;
  };
  /// Throws    Error if size() does not divide count
  Share share(std::int64_t count) const;

  /// Whether any process says yes. Waits for all. Throws PeerLost.
  bool any(bool mine);

  /// Tells the others why this process is about to end; it stands in their PeerLost.
  void fail(const std::string& why) noexcept { group_->fail(why); }

  kernels::ProcessGroup& group() { return *group_; }

 private:
  std::unique_ptr<kernels::ProcessGroup> group_;
};

}  // namespace clx
