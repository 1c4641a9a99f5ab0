#include "runtime/communicator.h"

#include "runtime/check.h"

namespace clx {

Communicator::Communicator(int size) {
  CLX_CHECK(size >= 1, "processes: expected at least 1, got ", size);
  group_ = std::make_unique<kernels::ProcessGroup>(size);
}

Communicator::~Communicator() = default;

void Communicator::join(int rank) {
  CLX_CHECK(rank >= 0 && rank < size(), "processes: expected a rank below ", size(), ", got ", rank);
  group_->join(rank);
}

Communicator::Share Communicator::share(std::int64_t count) const {
  CLX_CHECK(count % size() == 0, "processes: expected a multiple of ", size(), " rows to share, got ", count);
  const std::int64_t rows = count / size();
  return {rank() * rows, (rank() + 1) * rows};
}

bool Communicator::any(bool mine) {
  if (size() == 1) return mine;
  *static_cast<bool*>(group_->slot()) = mine;
  group_->exchange("any", sizeof mine);
  for (int rank = 0; rank < size(); ++rank)
    if (*static_cast<const bool*>(group_->slot_of(rank))) return true;
  return false;
}

}  // namespace clx
