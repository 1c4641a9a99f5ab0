// What this build is.
#pragma once

#include <string>

namespace clx::app {

/// "0.1", and the commit it was configured from where that is known: "0.1 (3664e85)".
std::string version();

/// Compiler, optimisation and CUDA support of the build, in one line.
std::string build_description();

/// The compiler and its version: "g++ 12.2.0".
std::string compiler();

}  // namespace clx::app
