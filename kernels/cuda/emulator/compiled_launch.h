// Launches of kernels' PTX as CUDA's runtime is asked for them. Usable beside CUDA's own headers.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace clx::emulator {

/// To be done later, and as often as wanted.
struct CompiledLaunch {
  std::string kernel;                   // as in the source
  std::vector<std::size_t> parameters;  // bytes of each
  std::size_t static_shared = 0;        // bytes of shared memory beside the dynamic
  std::function<void()> run;            // throws std::runtime_error where the kernel breaks a rule
};

/// `entry` is the kernel's mangled name. `arguments` point to as many values as it has parameters, which are
/// copied. Throws: std::runtime_error if the program has no such PTX for `target` (80 for sm_80), or neither
/// it nor any device allows such a launch.
CompiledLaunch compiled_launch(const std::string& entry,
                               int target,
                               const std::array<unsigned, 3>& grid,
                               const std::array<unsigned, 3>& block,
                               std::size_t dynamic_bytes,
                               void* const* arguments);

}  // namespace clx::emulator
