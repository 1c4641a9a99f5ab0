// Runs the tests.
#include <cstdio>
#include <gtest/gtest.h>
#include <set>
#include <string>

#include "kernels/cuda/emulator/compiled.h"

namespace {

/// After a run on the emulator's second layer: of which kernels it executed the PTX.
void print_coverage() {
  if (!clx::emulator::runs_compiled()) return;
  const int target = clx::emulator::compute_capability();
  std::set<std::string> executed, missing;
  for (const auto& kernel : clx::emulator::compiled_kernels()) {
    if (kernel.target != target) continue;
    (kernel.launches > 0 ? executed : missing).insert(kernel.file + "  " + kernel.name);
  }
  std::printf("PTX of %zu of %zu kernels for sm_%d was executed; not that of\n", executed.size(),
              executed.size() + missing.size(), target);
  for (const auto& name : missing)
    std::printf("  %s\n", name.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const int result = RUN_ALL_TESTS();
  print_coverage();
  return result;
}
