// What surrounds every program's main: exceptions to exit codes, signals to a polite stop.
#pragma once

#include <functional>
#include <string>

#include "apps/support/exit_code.h"

namespace clx::app {

/// Calls `body` and returns its result, or the exit code of the exception it let out, after
/// `error: <who>…` on stderr.
int exit_code_of(const std::string& who, const std::function<int()>& body);

/// The same for a whole program. Results that could not be written to stdout are an error too.
int run_program(int argc, char** argv, const std::function<int(int, char**)>& body);

/// From here on SIGINT, SIGTERM and SIGUSR1 only make stop_requested() true. A second SIGINT ends the
/// program at once. For programs that look at stop_requested() often; the others die as usual.
void handle_stop_signals();

bool stop_requested();

/// What a program returns when it stopped on request and everything is saved: interrupted after SIGINT,
/// stopped after the others.
ExitCode stop_code();

}  // namespace clx::app
