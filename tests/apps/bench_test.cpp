// clx-bench from its command line: every row's check passes, and wrong flags are refused.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/paths.h"

namespace clx {
namespace {

namespace fs = std::filesystem;

class Bench : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kProgram)) GTEST_SKIP() << "clx-bench was not built: google-benchmark was not found";
  }
  void TearDown() override { fs::remove(table_); }

  int run(const std::string& arguments) const {
    return WEXITSTATUS(
        std::system((kProgram.string() + " " + arguments + " >" + table_.string() + " 2>&1").c_str()));
  }
  std::string output() const {
    std::ifstream file(table_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const fs::path kProgram = tests::program_dir() / "clx-bench";
  const fs::path table_ = fs::temp_directory_path() / ("clx-bench-test-" + std::to_string(getpid()));
};

TEST_F(Bench, FindsEveryOperationRightOnTheEmulator) {
  ASSERT_EQ(run("--device emulated --benchmark_min_time=0.001 --benchmark_repetitions=1"), 0) << output();
  for (const char* row :
       {"| conv2d_backward_weight/emulated/", "| sgd_step/emulated/", "| supcon_and_gradient/emulated/",
        "| triplet_and_gradient/emulated/", "| ladder_matmul_6_wgmma/emulated/",
        "| ladder_conv_4_tensor_core/emulated/", "| ladder_sum_5_vectorised/emulated/"})
    EXPECT_NE(output().find(row), std::string::npos) << output();
  EXPECT_EQ(output().find("wrong"), std::string::npos) << output();
}

TEST_F(Bench, ListsOnlyTheRowsThatMatch) {
  ASSERT_EQ(run("--device cpu --benchmark_list_tests --benchmark_filter='^(add|relu)/.*f32$'"), 0);
  EXPECT_EQ(output(), "add/cpu/N64_C64_H32_f32\nrelu/cpu/N64_C64_H32_f32\n");
}

TEST_F(Bench, OnlyTimesWhenBare) {
  ASSERT_EQ(run("--device cpu --bare --benchmark_repetitions=1 --benchmark_min_time=0 "
                "--benchmark_filter='^relu/.*f32$'"),
            0);
  EXPECT_NE(output().find("# Times alone"), std::string::npos) << output();
  EXPECT_NE(output().find("| relu/cpu/"), std::string::npos) << output();
  EXPECT_EQ(output().find("peaks"), std::string::npos) << output();
}

TEST_F(Bench, RefusesAFilterThatMatchesNothing) {
  EXPECT_EQ(run("--benchmark_filter=nothing"), 2);
  EXPECT_NE(output().find("error: --benchmark-filter: expected"), std::string::npos) << output();
}

}  // namespace
}  // namespace clx
