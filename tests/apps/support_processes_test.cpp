// Programs in several processes: one result, one voice, and no process left behind.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iostream>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/support/exit_code.h"
#include "apps/support/processes.h"
#include "runtime/threads.h"

namespace clx::app {
namespace {

using testing::HasSubstr;

class RunProcesses : public testing::Test {
 protected:
  void SetUp() override { set_threads(1); }  // a forked process has no thread pool

  // The result, with what came to stderr in `err`.
  int run(int count, const std::function<int(Communicator&)>& body) {
    testing::internal::CaptureStderr();
    const auto start = std::chrono::steady_clock::now();
    int code = -1;
    try {
      code = run_processes(count, body);
    } catch (...) {
      err = testing::internal::GetCapturedStderr();
      throw;
    }
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    err = testing::internal::GetCapturedStderr();
    return code;
  }

  std::string err;
  double seconds = 0;
};

TEST_F(RunProcesses, ReturnsTheResultOfRankZeroAndHearsOnlyIt) {
  testing::internal::CaptureStdout();
  const int code = run(3, [](Communicator& across) {
    std::cout << "out " << across.rank() << std::endl;
    std::cerr << "err " << across.rank() << std::endl;
    across.any(false);
    return across.rank() == 0 ? 75 : 0;
  });
  EXPECT_EQ(code, 75);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "out 0\n");
  EXPECT_EQ(err, "err 0\n");
}

TEST_F(RunProcesses, OneProcessIsACall) {
  const pid_t self = ::getpid();
  EXPECT_EQ(run(1, [&](Communicator& across) { return across.size() == 1 && ::getpid() == self ? 7 : 1; }),
            7);
}

TEST_F(RunProcesses, AKilledChildEndsAllAtOnce) {
  const int code = run(3, [](Communicator& across) {
    across.any(false);
    if (across.rank() == 2) ::raise(SIGKILL);
    while (true)
      across.any(false);
    return 0;
  });
  EXPECT_EQ(code, failed);
  EXPECT_EQ(err, "error: process 2 of 3 ended unexpectedly (killed by signal 9)\n");
  EXPECT_LT(seconds, 5);
}

TEST_F(RunProcesses, AChildsErrorBecomesThatOfTheProgram) {
  const int code = run(2, [](Communicator& across) {
    if (across.rank() == 1) throw DataError("reading cat.jpg: expected a JPEG file");
    across.any(false);
    return 0;
  });
  EXPECT_EQ(code, bad_data);
  EXPECT_EQ(err, "error: process 1 of 2 failed: reading cat.jpg: expected a JPEG file\n");
}

TEST_F(RunProcesses, AnErrorOfRankZeroEndsTheChildren) {
  EXPECT_THROW(run(3,
                   [](Communicator& across) {
                     if (across.rank() == 0) throw DataError("no data");
                     while (true)
                       across.any(false);
                     return 0;
                   }),
               DataError);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(RunProcesses, AnErrorThatAllMakeIsThatOfRankZero) {
  EXPECT_THROW(run(2, [](Communicator&) -> int { throw UsageError("data-dir: expected a folder"); }),
               UsageError);
}

TEST_F(RunProcesses, AChildThatFailsAfterTheWorkIsAnErrorToo) {
  EXPECT_EQ(run(2, [](Communicator& across) { return across.rank() == 0 ? 0 : 5; }), out_of_memory);
  EXPECT_THAT(err, HasSubstr("error: "));
}

TEST(ShareOfMachine, DealsOutTheThreads) {
  Communicator one(1);
  EXPECT_EQ(share_of_machine({.device = "cpu", .threads = 5}, one).threads, 5);
  std::vector<int> dealt;
  for (int rank = 0; rank < 3; ++rank) {
    Communicator three(3);
    three.join(rank);
    const ComputeOptions mine = share_of_machine({.device = "cpu", .threads = 5}, three);
    EXPECT_EQ(mine.device, "cpu");
    dealt.push_back(mine.threads);
  }
  EXPECT_EQ(dealt, (std::vector<int>{2, 2, 1}));
  Communicator four(4);
  four.join(3);
  EXPECT_EQ(share_of_machine({.device = "emulated", .threads = 2}, four).threads, 1);
  EXPECT_EQ(share_of_machine({.device = "cuda", .threads = 2}, four).device, "cuda:3");
}

}  // namespace
}  // namespace clx::app
