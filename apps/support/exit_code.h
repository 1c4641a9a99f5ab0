// How a program ends, and the errors that decide it.
#pragma once

#include "runtime/check.h"

namespace clx::app {

/// What a program returns to the shell. DataError (runtime/check.h) becomes bad_data, std::bad_alloc
/// out_of_memory, every other exception failed.
enum ExitCode : int {
  ok = 0,
  failed = 1,
  usage = 2,
  bad_data = 3,
  non_finite_loss = 4,
  out_of_memory = 5,
  stopped = 75,       // by SIGTERM or SIGUSR1; a training run has saved its weights
  interrupted = 130,  // by SIGINT (Ctrl-C)
};

/// The lines that `--help` shows about exit codes.
const char* exit_code_help();

/// A wrong flag, value or config key.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The loss became NaN or infinite.
class NonFiniteLoss : public Error {
 public:
  using Error::Error;
};

}  // namespace clx::app
