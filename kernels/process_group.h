// Processes on one machine that compute together: shared memory and a meeting point.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace clx::kernels {

/// A process of the group ended, failed or left while another waited for it.
class PeerLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Made in one process, which then forks the others; each calls `join` with its rank. Memory has no name
/// and ends with its last process, however that ends. Not for several threads at once.
class ProcessGroup {
 public:
  /// What one exchange can carry per process.
  static constexpr std::size_t kSlotBytes = 1 << 20;

  /// Throws    std::runtime_error if size is below 1 or the system refuses
  explicit ProcessGroup(int size);
  /// Leaves: who waits for this process afterwards gets PeerLost.
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  /// Takes this process's place, once, before any exchange. A group of one needs no join.
  void join(int rank);

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Where this process writes what it brings to the next exchange, kSlotBytes long, aligned to 64.
  void* slot();

  /// Waits until every process has called it; from then until this process's next `slot` or `exchange`
  /// `slot_of` reads what each brought. `what` and `key` (a number of bytes, say) must be the same
  /// everywhere.
  /// Throws    std::runtime_error in every process if they are not; PeerLost, within a fraction of a second,
  ///           if a process that has not arrived ended, failed or left. A process may keep the others waiting
  ///           for as long as it lives.
  void exchange(const char* what, std::uint64_t key);
  const void* slot_of(int rank) const;

  /// Tells the others why this process is about to end; they get it in PeerLost.
  void fail(const std::string& why) noexcept;

  /// What a backend keeps with the group, such as NCCL's communicator.
  std::shared_ptr<void>& attachment() { return attachment_; }

 private:
  struct Member;
  struct Region;
  Member& member(int rank) const;
  std::byte* slot_at(int rank, std::uint64_t round) const;
  void wait();
  void check_alive(int rank) const;
  void compare(const char* what, std::uint64_t key) const;

  int size_ = 1, rank_ = 0;
  bool joined_ = false;
  std::uint64_t round_ = 0;  // exchanges so far
  std::size_t bytes_ = 0;
  Region* region_ = nullptr;
  std::vector<int> life_;  // per rank the end of a pipe whose other end lives as long as that process
  std::vector<int> lives_;
  std::shared_ptr<void> attachment_;
};

}  // namespace clx::kernels
