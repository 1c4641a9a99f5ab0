// The number of CPU threads that kernels use: ours, oneDNN's and the BLAS library's.
#pragma once

namespace clx::kernels {

/// Sets the number of threads (≥ 1) of all later kernels of the process.
void set_threads(int count);

/// The number of threads: what set_threads said, else the environment's CLX_THREADS, else the
/// number of processors this process may use.
int threads();

/// While it lives, kernels called by this thread run on this thread alone; for loader threads, which
/// must not take the processors from the training step.
class SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;

 private:
  bool outer_;
};

}  // namespace clx::kernels
