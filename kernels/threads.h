// The number of CPU threads that kernels use: ours, oneDNN's and the BLAS library's.
#pragma once

#include <memory>

namespace clx::kernels {

/// Sets the number of threads (≥ 1) of all later kernels of the process, but for those of an OwnTeam.
void set_threads(int count);

/// The number of threads of this thread's kernels: that of its OwnTeam, else what set_threads said, else
/// the environment's CLX_THREADS, else the number of processors this process may use.
int threads();

/// While it lives, kernels called by this thread run on `count` (≥ 1) threads that no other caller has: this
/// one and count − 1 more. Made and destroyed by one thread.
class OwnTeam {
 public:
  explicit OwnTeam(int count);
  ~OwnTeam();
  OwnTeam(const OwnTeam&) = delete;
  OwnTeam& operator=(const OwnTeam&) = delete;

  struct Team;

 private:
  std::unique_ptr<Team> team_;
};

}  // namespace clx::kernels
