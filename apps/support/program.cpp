#include "apps/support/program.h"

#include <atomic>
#include <csignal>
#include <iostream>
#include <new>
#include <unistd.h>

#include "runtime/allocator.h"

namespace clx::app {

namespace {

constexpr const char* kLessMemory =
    "; a lower --batch-size or --image-size needs less (pixel flipping: --max-memory)";

std::atomic<int> stop_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free, "for signal handlers");

void on_stop(int signal) {
  if (signal == SIGINT && stop_signal == SIGINT) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
    return;
  }
  if (signal == SIGINT) {
    const char text[] = "\nstopping at the next safe point; Ctrl-C again ends at once\n";
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text, sizeof text - 1);
  }
  stop_signal = signal;
}

int report(const std::string& what, ExitCode code) {
  std::cout.flush();
  std::cerr << "error: " + what + "\n" << std::flush;
  return code;
}

}  // namespace

const char* exit_code_help() {
  return "  0  done\n"
         "  1  failed\n"
         "  2  wrong flag, value or config key\n"
         "  3  bad data: a missing, truncated or inconsistent file\n"
         "  4  the loss became NaN or infinite\n"
         "  5  out of memory\n"
         "  75 stopped by SIGTERM or SIGUSR1; a training run has saved its weights\n"
         "  130 interrupted by Ctrl-C; a training run has saved its weights\n";
}

int exit_code_of(const std::string& who, const std::function<int()>& body) {
  try {
    return body();
  } catch (const UsageError& error) {
    return report(who + error.what(), usage);
  } catch (const NonFiniteLoss& error) {
    return report(who + error.what(), non_finite_loss);
  } catch (const DataError& error) {
    return report(who + error.what(), bad_data);
  } catch (const OutOfMemory& error) {
    return report(who + "out of " + error.what() + kLessMemory, out_of_memory);
  } catch (const std::bad_alloc&) {
    return report(who + "out of memory" + kLessMemory, out_of_memory);
  } catch (const std::exception& error) {
    return report(who + error.what(), failed);
  }
}

int run_program(int argc, char** argv, const std::function<int(int, char**)>& body) {
  return exit_code_of("", [&] {
    const int code = body(argc, argv);
    std::cout.flush();
    CLX_CHECK(std::cout, "stdout: the results could not be written");
    return code;
  });
}

void handle_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1})
    sigaction(signal, &action, nullptr);
}

bool stop_requested() {
  return stop_signal != 0;
}

ExitCode stop_code() {
  return stop_signal == SIGINT ? interrupted : stopped;
}

}  // namespace clx::app
