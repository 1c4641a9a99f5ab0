#include "tests/paths.h"

#include <cstdlib>

namespace clx::tests {

std::filesystem::path source_dir() {
  const char* const moved = std::getenv("CLX_TEST_ROOT");
  return moved ? moved : CLX_SOURCE_DIR;
}
std::filesystem::path program_dir() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace clx::tests
