// How many CPU threads the framework computes with.
#pragma once

namespace clx {

/// Sets the number of threads of all later CPU ops, of this library and of those under it.
/// Throws Error if count < 1. Results do not depend on it.
void set_threads(int count);

/// The number in force: what set_threads said, else the environment's CLX_THREADS, else the processors
/// that this process may use.
int threads();

}  // namespace clx
