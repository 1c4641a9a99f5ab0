// A thread's own part of the machine, so that several threads compute side by side.
#pragma once

#include <cstdint>

#include "kernels/threads.h"
#include "runtime/device.h"

struct CUstream_st;

namespace clx {

/// While it lives, what the thread that made it asks of `device` is queued on a stream of its own, with
/// memory that no other stream's work is given, and its CPU ops run on `threads` threads of its own. One at a
/// time and thread; made and destroyed by that thread.
///
/// Notes     It begins when the work that was queued without a lane is done and its end waits for its own:
///           tensors may go in and out then. Results do not depend on it. A CPU and the emulator have no
///           queue; there it is about threads, on the emulator about memory, too.
/// Throws    Error if the thread has a lane or captures; what the device says
class Lane {
 public:
  Lane(Device device, int threads);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

 private:
  kernels::OwnTeam team_;
};

/// What a lane is on its device. Internal to the runtime.
struct LanePart {
  Device device;
  std::uint64_t pool = 0;         // of the allocator
  CUstream_st* stream = nullptr;  // of a GPU
};

/// This thread's lane on this device; null if it has none, and on a CPU.
const LanePart* current_lane(Device device);

}  // namespace clx
