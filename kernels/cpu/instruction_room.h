// Memory for the instructions that oneDNN writes.
#pragma once

#include <mutex>
#include <shared_mutex>

namespace clx::kernels {

/// Held by whoever takes memory from the system for tensors.
std::shared_mutex& memory_for_tensors();

/// While it lives a primitive of oneDNN may be made: the memory for its instructions, which oneDNN 2.6 writes
/// to even where it got none, is there, and no tensor takes it.
class InstructionRoom {
 public:
  /// Throws std::bad_alloc where it is not there.
  InstructionRoom();

 private:
  std::unique_lock<std::shared_mutex> lock_;
};

}  // namespace clx::kernels
