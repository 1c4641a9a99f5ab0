#include "kernels/process_group.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/futex.h>
#include <new>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace clx::kernels {
namespace {

// Processes usually meet within microseconds; a longer wait sleeps and looks after the others now and then.
constexpr std::chrono::microseconds kPatience{30};
constexpr timespec kNap{0, 50'000'000};

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

// Sleeps while the word has this value, at most for kNap. Waiters may be in other processes, which
// std::atomic::wait does not promise.
void sleep_while(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT, value, &kNap, nullptr, 0);
}
void wake_all(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

// One process's place in the shared memory.
struct alignas(64) ProcessGroup::Member {
  std::atomic<std::uint64_t> arrived;  // at how many exchanges
  std::atomic<bool> left;
  char why[512];  // it left; written before `left`
  struct {
    char what[24];
    std::uint64_t key;
  } brought[2];  // to exchanges of even and odd number
};

// Of each process there are two slots: one is read while the next exchange fills the other.
struct ProcessGroup::Region {
  std::atomic<std::uint32_t> news;  // counts arrivals and departures
  std::atomic<int> sleepers;
};

ProcessGroup::Member& ProcessGroup::member(int rank) const {
  std::byte* const first = reinterpret_cast<std::byte*>(region_) + round_up(sizeof(Region), alignof(Member));
  return reinterpret_cast<Member*>(first)[rank];
}

std::byte* ProcessGroup::slot_at(int rank, std::uint64_t round) const {
  std::byte* const slots =
      reinterpret_cast<std::byte*>(region_) + bytes_ - 2 * kSlotBytes * static_cast<std::size_t>(size_);
  return slots + (2 * static_cast<std::size_t>(rank) + round % 2) * kSlotBytes;
}

ProcessGroup::ProcessGroup(int size) : size_(size) {
  if (size < 1) throw std::runtime_error("processes: expected at least 1, got " + std::to_string(size));
  const auto count = static_cast<std::size_t>(size);
  bytes_ = round_up(round_up(sizeof(Region), alignof(Member)) + count * sizeof(Member), 4096) +
           2 * kSlotBytes * count;
  void* const memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "processes: mmap");
  region_ = new (memory) Region{};  // the memory is zero already
  for (int rank = 0; rank < size; ++rank)
    new (&member(rank)) Member{};
  for (int rank = 0; size > 1 && rank < size; ++rank) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      const std::system_error error(errno, std::generic_category(), "processes: pipe");
      for (const auto& fds : {lives_, life_})
        for (const int fd : fds)
          ::close(fd);
      ::munmap(region_, bytes_);
      throw error;
    }
    lives_.push_back(ends[0]);
    life_.push_back(ends[1]);
  }
  joined_ = size == 1;
}

ProcessGroup::~ProcessGroup() {
  attachment_.reset();
  if (joined_) {
    member(rank_).left = true;
    ++region_->news;
    wake_all(region_->news);
  }
  for (const auto& fds : {lives_, life_})
    for (const int fd : fds)
      if (fd >= 0) ::close(fd);
  ::munmap(region_, bytes_);
}

void ProcessGroup::join(int rank) {
  if (rank < 0 || rank >= size_)
    throw std::runtime_error("processes: expected a rank below " + std::to_string(size_) + ", got " +
                             std::to_string(rank));
  if (size_ == 1) return;
  if (joined_) throw std::runtime_error("processes: this process has joined already");
  rank_ = rank;
  joined_ = true;
  for (int other = 0; other < size_; ++other) {
    int& unwanted =
        other == rank ? lives_[static_cast<std::size_t>(other)] : life_[static_cast<std::size_t>(other)];
    ::close(unwanted);
    unwanted = -1;
  }
}

void* ProcessGroup::slot() {
  return slot_at(rank_, round_ + 1);
}

const void* ProcessGroup::slot_of(int rank) const {
  return slot_at(rank, round_);
}

void ProcessGroup::exchange(const char* what, std::uint64_t key) {
  if (!joined_) throw std::runtime_error("processes: this process has not joined its group");
  ++round_;
  Member& mine = member(rank_);
  auto& brought = mine.brought[round_ % 2];
  std::snprintf(brought.what, sizeof brought.what, "%s", what);
  brought.key = key;
  mine.arrived = round_;
  ++region_->news;
  if (region_->sleepers > 0) wake_all(region_->news);
  wait();
  compare(what, key);
}

void ProcessGroup::wait() {
  const auto missing = [&] {
    for (int rank = 0; rank < size_; ++rank)
      if (member(rank).arrived < round_) return rank;
    return -1;
  };
  const auto start = std::chrono::steady_clock::now();
  while (missing() >= 0 && std::chrono::steady_clock::now() - start < kPatience) {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }
  struct Sleeper {
    std::atomic<int>& count;
    ~Sleeper() { --count; }
  };
  if (missing() < 0) return;
  ++region_->sleepers;
  const Sleeper here{region_->sleepers};
  while (true) {
    const std::uint32_t news = region_->news;
    const int rank = missing();
    if (rank < 0) return;
    check_alive(rank);
    sleep_while(region_->news, news);
  }
}

void ProcessGroup::check_alive(int rank) const {
  const Member& peer = member(rank);
  pollfd line{lives_[static_cast<std::size_t>(rank)], POLLIN, 0};
  const bool ended = ::poll(&line, 1, 0) > 0;
  const bool left = peer.left;
  if (!ended && !left) return;
  if (peer.arrived >= round_) return;  // it came, and went afterwards
  const std::string which = "process " + std::to_string(rank) + " of " + std::to_string(size_);
  if (peer.why[0]) throw PeerLost(which + " failed: " + peer.why);
  throw PeerLost(which + (left ? " has left" : " ended unexpectedly"));
}

void ProcessGroup::compare(const char* what, std::uint64_t key) const {
  const auto& mine = member(rank_).brought[round_ % 2];
  for (int rank = 0; rank < size_; ++rank) {
    const auto& theirs = member(rank).brought[round_ % 2];
    if (theirs.key == key && std::strcmp(theirs.what, mine.what) == 0) continue;
    throw std::runtime_error(std::string(what) + ": expected the same in every process, got " + mine.what +
                             " of " + std::to_string(key) + " in process " + std::to_string(rank_) + " and " +
                             theirs.what + " of " + std::to_string(theirs.key) + " in process " +
                             std::to_string(rank));
  }
}

void ProcessGroup::fail(const std::string& why) noexcept {
  if (!joined_ || size_ == 1) return;
  Member& mine = member(rank_);
  std::snprintf(mine.why, sizeof mine.why, "%s", why.c_str());
  mine.left = true;
  ++region_->news;
  wake_all(region_->news);
}

}  // namespace clx::kernels
