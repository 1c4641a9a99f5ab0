#include "apps/support/processes.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <fmt/format.h>
#include <iostream>
#include <new>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

#include "apps/support/exit_code.h"
#include "apps/support/program.h"
#include "runtime/threads.h"

namespace clx::app {
namespace {

constexpr std::chrono::seconds kGrace{10};  // for a process that must end to come to a collective op

// A child and what became of it.
struct Child {
  pid_t pid = 0;
  int code = -1;   // −1 while it runs; `failed` after a signal
  int signal = 0;  // that killed it
};

class Children {
 public:
  Children() = default;
  // Only after an exception: no child stays behind.
  ~Children() { end(); }
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  void add(pid_t pid) { all_.push_back({pid}); }

  void wait_for_all() {
    for (Child& child : all_)
      reap(child, 0);
  }

  // Waits a while, then kills.
  void end() {
    const auto start = std::chrono::steady_clock::now();
    while (running() && std::chrono::steady_clock::now() - start < kGrace)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for (const Child& child : all_)
      if (child.code < 0) ::kill(child.pid, SIGKILL);
    wait_for_all();
  }

  // The first child that failed for a reason of its own, else the first that failed (having lost another,
  // say); null if none did.
  const Child* failed_child() const {
    const Child* found = nullptr;
    for (const Child& child : all_) {
      if (child.code == ok) continue;
      if (child.signal != 0 || child.code != failed) return &child;
      if (!found) found = &child;
    }
    return found;
  }

 private:
  static void reap(Child& child, int flags) {
    if (child.code >= 0) return;
    int status = 0;
    pid_t got = 0;
    while ((got = ::waitpid(child.pid, &status, flags)) < 0 && errno == EINTR) {
    }
    if (got == 0) return;
    child.code = got > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(failed);
    child.signal = got > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  bool running() {
    for (Child& child : all_)
      reap(child, WNOHANG);
    return std::ranges::any_of(all_, [](const Child& child) { return child.code < 0; });
  }
  std::vector<Child> all_;
};

int report(const std::string& what, const Child* child) {
  std::cout.flush();
  std::cerr << "error: " << what;
  if (child && child->signal != 0) std::cerr << " (killed by signal " << child->signal << ')';
  std::cerr << std::endl;
  return child ? child->code : static_cast<int>(failed);
}

// The rest of a child's life.
[[noreturn]] void live_as_child(Communicator& across,
                                int rank,
                                pid_t parent,
                                const std::function<int(Communicator&)>& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(failed);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  across.join(rank);
  const int code = run_program(0, nullptr, [&](int, char**) {
    try {
      return body(across);
    } catch (const std::exception& error) {
      across.fail(error.what());
      throw;
    }
  });
  across.~Communicator();
  ::_exit(code);
}

}  // namespace

void add_process_options(Options& options, ProcessOptions* processes) {
  options
      .add("processes", &processes->processes,
           "processes of this machine that share every batch and the threads; on GPUs one each")
      .range(1, 64);
  options.add("sync-bn", &processes->sync_bn,
              "batch statistics over the whole batch, not each process's share: N processes then equal one");
}

int run_processes(int count, const std::function<int(Communicator&)>& body) {
  if (count == 1) {
    Communicator alone(1);
    return body(alone);
  }
  Communicator across(count);
  Children children;
  const pid_t parent = ::getpid();
  std::cout.flush();
  std::fflush(nullptr);
  for (int rank = 1; rank < count; ++rank) {
    const pid_t pid = ::fork();
    if (pid < 0) {
      const std::system_error error(errno, std::generic_category(), "processes: fork");
      across.fail(error.what());
      throw error;
    }
    if (pid == 0) live_as_child(across, rank, parent, body);
    children.add(pid);
  }
  across.join(0);
  int code = failed;
  try {
    code = body(across);
  } catch (const PeerLost& lost) {
    across.fail(lost.what());
    children.end();
    return report(lost.what(), children.failed_child());
  } catch (const std::exception& error) {
    across.fail(error.what());
    throw;
  }
  children.wait_for_all();
  const Child* child = children.failed_child();
  return code == ok && child ? report("a process failed after the work was done", child) : code;
}

ComputeOptions share_of_machine(const ComputeOptions& compute, const Communicator& across) {
  ComputeOptions mine = compute;
  if (across.size() == 1) return mine;
  const int total = compute.threads > 0 ? compute.threads : threads();
  mine.threads = std::max(1, total / across.size() + (across.rank() < total % across.size() ? 1 : 0));
  const bool gpus =
      compute.device == "cuda" || (compute.device == "auto" && parse_device("auto").kind == DeviceKind::cuda);
  if (gpus) mine.device = fmt::format("cuda:{}", across.rank());
  return mine;
}

bool stop_requested_anywhere(Communicator& across) {
  return across.any(stop_requested());
}

}  // namespace clx::app
