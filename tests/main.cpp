// Runs the tests.
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <string>

#include "kernels/cuda/emulator/compiled.h"

namespace {

/// After a run on the emulator's second layer: of which kernels it executed the PTX. False if it missed one
/// that matches the regular expression CLX_TEST_EXECUTES.
bool print_coverage() {
  if (!clx::emulator::runs_compiled()) return true;
  const int target = clx::emulator::compute_capability();
  std::set<std::string> executed, missing;
  for (const auto& kernel : clx::emulator::compiled_kernels()) {
    if (kernel.target != target) continue;
    (kernel.launches > 0 ? executed : missing).insert(kernel.file + "  " + kernel.name);
  }
  std::printf("PTX of %zu of %zu kernels for sm_%d was executed; not that of\n", executed.size(),
              executed.size() + missing.size(), target);
  const char* const required = std::getenv("CLX_TEST_EXECUTES");
  const std::regex pattern(required ? required : "");
  bool complete = true;
  for (const auto& name : missing) {
    const bool must = required && std::regex_search(name, pattern);
    std::printf("  %s%s\n", name.c_str(), must ? "  FAILED: this run is to execute it" : "");
    complete = complete && !must;
  }
  return complete;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const int result = RUN_ALL_TESTS();
  return print_coverage() ? result : 1;
}
