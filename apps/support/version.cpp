#include "apps/support/version.h"

namespace clx::app {

std::string version() {
  const std::string commit = CLX_COMMIT;
  return commit.empty() ? CLX_VERSION : CLX_VERSION " (" + commit + ")";
}

std::string compiler() {
#ifdef __clang__
  return "clang++ " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

std::string build_description() {
#ifdef CLX_CUDA
  const char* cuda = "with CUDA";
#else
  const char* cuda = "without CUDA";
#endif
#ifdef NDEBUG
  const char* checks = "release";
#else
  const char* checks = "with assertions";
#endif
  return compiler() + ", " + checks + ", " + cuda;
}

}  // namespace clx::app
