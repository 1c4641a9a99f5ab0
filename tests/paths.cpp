#include "tests/paths.h"

namespace clx::tests {

std::filesystem::path source_dir() {
  return CLX_SOURCE_DIR;
}
std::filesystem::path program_dir() {
  return CLX_BIN_DIR;
}

}  // namespace clx::tests
