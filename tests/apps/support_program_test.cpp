// Exceptions to exit codes, and signals.
#include <csignal>
#include <gtest/gtest.h>
#include <iostream>

#include "apps/support/program.h"
#include "runtime/allocator.h"

namespace clx::app {
namespace {

template <class Exception>
int code_of(const Exception& exception, std::string* text = nullptr) {
  testing::internal::CaptureStderr();
  const int code = run_program(0, nullptr, [&](int, char**) -> int { throw exception; });
  const std::string err = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(err.starts_with("error: ")) << err;
  if (text) *text = err;
  return code;
}

TEST(Program, PassesTheResultThrough) {
  char name[] = "p";
  char* argv[] = {name};
  EXPECT_EQ(run_program(1, argv, [](int argc, char**) { return argc + 41; }), 42);
}

TEST(Program, GivesEachKindOfErrorItsExitCode) {
  std::string text;
  EXPECT_EQ(code_of(Error("conv2d: expected C=64, got 3"), &text), 1);
  EXPECT_EQ(text, "error: conv2d: expected C=64, got 3\n");
  EXPECT_EQ(code_of(std::runtime_error("x")), 1);
  EXPECT_EQ(code_of(UsageError("x")), 2);
  EXPECT_EQ(code_of(DataError("x")), 3);
  EXPECT_EQ(code_of(NonFiniteLoss("x")), 4);
  EXPECT_EQ(code_of(std::bad_alloc(), &text), 5);
  EXPECT_TRUE(text.starts_with("error: out of memory; a lower --batch-size")) << text;
  EXPECT_EQ(code_of(OutOfMemory("memory of cuda:0: expected 2 GiB"), &text), 5);
  EXPECT_EQ(text,
            "error: out of memory of cuda:0: expected 2 GiB; a lower --batch-size or --image-size needs less "
            "(pixel flipping: --max-memory)\n");
}

TEST(Program, SaysWhoFailed) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(exit_code_of("seed 3: ", [] { return 7; }), 7);
  EXPECT_EQ(exit_code_of("seed 3: ", []() -> int { throw NonFiniteLoss("no number"); }), 4);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: seed 3: no number\n");
}

TEST(Program, FailsWhenResultsCannotBeWritten) {
  testing::internal::CaptureStderr();
  const int code = run_program(0, nullptr, [](int, char**) {
    std::cout.setstate(std::ios::badbit);
    return 0;
  });
  std::cout.clear();
  EXPECT_EQ(code, 1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("stdout"), std::string::npos);
}

// Each in a process of its own: a request to stop stays.
TEST(ProgramDeathTest, StopsPolitelyOnSignals) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto stop_by = [](int signal) {
    handle_stop_signals();
    if (stop_requested()) std::exit(99);
    std::raise(signal);
    std::exit(stop_requested() ? stop_code() : 98);
  };
  EXPECT_EXIT(stop_by(SIGTERM), testing::ExitedWithCode(75), "");
  EXPECT_EXIT(stop_by(SIGUSR1), testing::ExitedWithCode(75), "");
  EXPECT_EXIT(stop_by(SIGINT), testing::ExitedWithCode(130), "Ctrl-C again");
}

TEST(ProgramDeathTest, ASecondCtrlCEndsAtOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto twice = [] {
    handle_stop_signals();
    std::raise(SIGINT);
    std::raise(SIGINT);
    std::exit(0);
  };
  EXPECT_EXIT(twice(), testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace clx::app
