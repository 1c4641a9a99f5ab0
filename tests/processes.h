// Several processes in one test.
#pragma once

#include <csignal>
#include <cstdio>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "runtime/communicator.h"
#include "runtime/threads.h"

namespace clx::tests {

/// What a process returned, and how it ended: its exit code, or −n after signal n.
struct Ended {
  std::vector<float> values;
  int code = 0;
};

/// Runs `body` in `size` forked processes of one thread each. A process whose body threw or in which an
/// EXPECT failed ends with 1 and says why on stderr. This process takes no part.
inline std::vector<Ended> start_processes(int size,
                                          const std::function<std::vector<float>(Communicator&)>& body) {
  struct Child {
    pid_t pid;
    int out;
  };
  std::vector<Child> children;
  {
    Communicator communicator(size);
    for (int rank = 0; rank < size; ++rank) {
      int ends[2];
      if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
      std::fflush(nullptr);
      const pid_t pid = ::fork();
      if (pid < 0) throw std::runtime_error("fork failed");
      if (pid == 0) {
        ::alarm(60);
        int code = 0;
        try {
          set_threads(1);  // the pool's threads were not forked
          communicator.join(rank);
          const std::vector<float> values = body(communicator);
          const char* data = reinterpret_cast<const char*>(values.data());
          for (std::size_t left = values.size() * sizeof(float); left > 0;) {
            const ssize_t n = ::write(ends[1], data, left);
            if (n <= 0) ::_exit(3);
            data += n;
            left -= static_cast<std::size_t>(n);
          }
          code = testing::Test::HasFailure() ? 1 : 0;
        } catch (const std::exception& error) {
          std::fprintf(stderr, "process %d: %s\n", rank, error.what());
          code = 1;
        }
        communicator.~Communicator();
        std::fflush(nullptr);
        ::_exit(code);
      }
      ::close(ends[1]);
      children.push_back({pid, ends[0]});
    }
  }
  std::vector<Ended> all;
  for (const Child& child : children) {
    Ended ended;
    std::string bytes;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(child.out, buffer, sizeof buffer)) > 0;)
      bytes.append(buffer, static_cast<std::size_t>(n));
    ::close(child.out);
    int status = 0;
    ::waitpid(child.pid, &status, 0);
    ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    ended.values.resize(bytes.size() / sizeof(float));
    std::copy_n(bytes.data(), ended.values.size() * sizeof(float),
                reinterpret_cast<char*>(ended.values.data()));
    all.push_back(std::move(ended));
  }
  return all;
}

/// The same for processes that must all succeed: what each returned.
inline std::vector<std::vector<float>> in_processes(
    int size, const std::function<std::vector<float>(Communicator&)>& body) {
  std::vector<std::vector<float>> values;
  for (Ended& ended : start_processes(size, body)) {
    EXPECT_EQ(ended.code, 0) << "process " << values.size() << " of " << size;
    values.push_back(std::move(ended.values));
  }
  return values;
}

}  // namespace clx::tests
