// Programs that run in several processes of one machine.
#pragma once

#include <functional>

#include "apps/support/options.h"
#include "apps/support/workload.h"
#include "runtime/communicator.h"

namespace clx::app {

struct ProcessOptions {
  int processes = 1;
  bool sync_bn = false;  // batch statistics over the whole batch
};

/// Declares --processes and --sync-bn in the current group.
void add_process_options(Options& options, ProcessOptions* processes);

/// Runs `body` in `count` processes: this one, rank 0, and its children, which say nothing and write
/// nothing to stdout or stderr. Returns rank 0's result once all have ended. A process whose body throws, or
/// that dies, ends all: the others get PeerLost at their next collective op, and those that come to
/// none are killed after some seconds. Children do not outlive this process.
/// Returns   what rank 0's body returned; if it lost a child, the child's exit code after `error: …` on
/// stderr Throws    what rank 0's body threw Notes     Forks: call it before anything starts threads or
/// touches a GPU. With a count of 1 it is a call.
int run_processes(int count, const std::function<int(Communicator&)>& body);

/// This process's part of the machine: the threads shared out evenly (at least one each), and, where
/// `compute` means GPUs by "auto" or "cuda", the GPU of its rank.
ComputeOptions share_of_machine(const ComputeOptions& compute, const Communicator& across);

/// Whether any of the processes was asked to stop: the same answer in all of them. All call it together.
bool stop_requested_anywhere(Communicator& across);

}  // namespace clx::app
