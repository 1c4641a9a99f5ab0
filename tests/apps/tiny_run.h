// Runs of the programs that take a fraction of a second, and what they leave behind.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "runtime/io/file.h"
#include "tests/apps/run_program.h"
#include "tests/runtime/scratch_folder.h"

namespace clx {

using Arguments = std::vector<std::string>;

inline Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The smallest network on 64 training and 48 test images of 16×16: four steps an epoch.
inline const Arguments kTinyTraining = {
    "--image-size", "16", "--train-samples", "64", "--test-samples", "48", "--width", "0.25",
    "--epochs",     "1",  "--batch-size",    "16", "--threads",      "1",  "--quiet"};

/// Leaves this process and what it starts so much address space. Not for sanitizers, which need all of it.
inline void limit_memory(rlim_t bytes) {
  ::setenv("OPENBLAS_NUM_THREADS", "1", 1);  // each takes memory,
  ::setenv("MALLOC_ARENA_MAX", "1", 1);      // and so does the C library of each thread
  const rlimit most{bytes, bytes};
  ::setrlimit(RLIMIT_AS, &most);
}
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kCanLimitMemory = false;
#else
inline constexpr bool kCanLimitMemory = true;
#endif

inline std::string text_of(const std::filesystem::path& file) {
  const std::vector<std::uint8_t> bytes = io::read_file(file);
  return {bytes.begin(), bytes.end()};
}

/// Everything under a folder: name → contents; of a folder "(folder)". Empty if there is no such folder.
inline std::map<std::string, std::string> contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> all;
  if (!std::filesystem::exists(folder)) return all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = std::filesystem::relative(entry.path(), folder).string();
    all[name] = entry.is_directory() ? "(folder)" : text_of(entry.path());
  }
  return all;
}

inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& [name, text] : contents(folder))
    names.push_back(name);
  return names;
}

/// A test with a folder of its own.
class ProgramTest : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return (root / name).string(); }

  /// Runs a program that must succeed.
  static Finished must(const std::string& program, const Arguments& arguments) {
    const Finished result = run_program(program, arguments);
    EXPECT_EQ(result.code, 0) << program << ": " << result.err;
    return result;
  }

  /// A trained network in <root>/<name>/seed0.
  void train(const std::string& name, const Arguments& more = {}) {
    must("clx-train", kTinyTraining + Arguments{"--output-dir", at(name)} + more);
  }

  /// Runs a program that must refuse: with this code, a message that holds all of `parts`, and without
  /// leaving anything in the test's folder that was not there before.
  void refuses(const std::string& program,
               const Arguments& arguments,
               int code,
               const std::vector<std::string>& parts,
               const std::function<void()>& in_child = {}) {
    const auto before = contents(root.path());
    const Finished result = run_program(program, arguments, in_child);
    EXPECT_EQ(result.code, code) << program << ' ' << testing::PrintToString(arguments) << ": " << result.err;
    EXPECT_THAT(result.err, testing::AnyOf(testing::StartsWith("error: "), testing::HasSubstr("\nerror: ")));
    for (const std::string& part : parts)
      EXPECT_THAT(result.err, testing::HasSubstr(part));
    EXPECT_EQ(result.out, "") << "results of a program that failed";
    const auto after = contents(root.path());
    EXPECT_EQ(names_of(after), names_of(before));
    EXPECT_TRUE(after == before) << "a file was changed";
  }

  ScratchFolder root;

 private:
  static std::vector<std::string> names_of(const std::map<std::string, std::string>& files) {
    std::vector<std::string> names;
    for (const auto& [name, text] : files)
      names.push_back(name);
    return names;
  }
};

}  // namespace clx
