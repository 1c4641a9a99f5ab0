// What a thread captures at the moment. Internal to the runtime; runtime/graph.h is the public side.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/workspace.h"
#include "runtime/device.h"

namespace clx {

struct Storage;

/// Memory that is allocated and scratch that is taken on `device` meanwhile is the graph's own.
struct Capture {
  Device device;
  std::uint64_t pool = 0;  // of the allocator
  Workspace* scratch = nullptr;
  std::vector<std::weak_ptr<Storage>> written;  // by the captured work: each replay changes them
  std::vector<std::function<void()>> on_host;   // what the host does at each replay
};

/// Null if this thread captures nothing (on a device other than a CPU).
Capture* current_capture();
/// The same on this device.
Capture* current_capture(Device device);

/// Counts a write, as Tensor::mutable_view does.
void mark_written(Storage& storage);

}  // namespace clx
