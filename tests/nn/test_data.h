// Where tests find real data and keep files of their own.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "tests/paths.h"

namespace clx::tests {

/// The folder of real data: $CLX_TEST_DATA, or shared/data beside the source tree.
inline std::filesystem::path test_data() {
  if (const char* folder = std::getenv("CLX_TEST_DATA")) return folder;
  return source_dir() / "../shared/data";
}

/// A fresh folder for one test, removed at its end.
class TestFolder {
 public:
  TestFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            (std::string("clx_") + test->test_suite_name() + "_" + std::to_string(getpid()));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The text of the exception that `action` throws; "" and a failure if it throws none of type E.
template <class E, class F>
std::string text_of_error(const F& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace clx::tests
