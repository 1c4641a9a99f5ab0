// Where the tests find what they need.
#pragma once

#include <filesystem>
#include <string>

namespace clx::tests {

/// The root of the sources: CLX_TEST_ROOT, if the environment has it, else where they were built.
std::filesystem::path source_dir();
/// The folder of the built programs, the tests among them.
std::filesystem::path program_dir();
/// A file of tests/fixtures.
inline std::filesystem::path fixture(const std::string& name) {
  return source_dir() / "tests/fixtures" / name;
}

}  // namespace clx::tests
