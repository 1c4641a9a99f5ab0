// The second layer of the emulator: the PTX that nvcc made of the kernels, found in the program's own file
// and executed on the same threads, barriers and instructions as the first. Where the first layer shows that
// a kernel is right, this one shows that its inline PTX is, and what the compiler made of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/emulator/thread.h"

namespace clx::emulator {

struct CompiledKernel {
  std::string name;  // as in the source
  std::string file;  // of a kernel in an anonymous namespace
  int target = 0;    // 80 for sm_80
  std::uint64_t launches = 0;
};

/// Every kernel of the program for which there is PTX; none in a build without nvcc.
std::vector<CompiledKernel> compiled_kernels();

/// What the emulator does not know of their PTX: one line per kernel that cannot be executed.
std::vector<std::string> undecodable_kernels();

}  // namespace clx::emulator
