// Runs the project's programs as a shell does.
#pragma once

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "tests/paths.h"

namespace clx {

/// How a program ended and what it said.
struct Finished {
  int code = -1;  // as the shell's $?: 128 + n after signal n
  std::string out, err;
};

/// A program that was started. stdout comes through a pipe, stderr goes to a nameless file.
class RunningProgram {
 public:
  /// Starts <build>/bin/<name>. `in_child` runs between fork and exec. A program that has not ended by itself
  /// after `seconds` is ended by SIGALRM, so that no test waits forever.
  RunningProgram(const std::string& name,
                 const std::vector<std::string>& arguments,
                 const std::function<void()>& in_child = {},
                 unsigned seconds = 300)
      : err_(std::tmpfile()) {
    const std::filesystem::path binary = tests::program_dir() / name;
    std::vector<std::string> words{name};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words)
      argv.push_back(word.data());
    argv.push_back(nullptr);
    int ends[2];
    const int program = ::open(binary.c_str(), O_RDONLY | O_CLOEXEC);
    if (program < 0 || !err_ || ::pipe2(ends, O_CLOEXEC) != 0)
      throw std::runtime_error("cannot start " + binary.string());
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("fork failed");
    if (child_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(::fileno(err_), STDERR_FILENO);
      ::alarm(seconds);
      // On every machine the same: auto is the CPU.
      if (std::ranges::find(arguments, "cuda") == arguments.end()) ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
      if (in_child) in_child();
      ::fexecve(program, argv.data(), environ);  // works for a user who cannot see the build folder, too
      ::_exit(127);
    }
    ::close(ends[1]);
    ::close(program);
    out_ = ends[0];
  }
  ~RunningProgram() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    ::close(out_);
    std::fclose(err_);
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  /// Waits until stdout holds `text`. False if the program ended before.
  bool wait_for(const std::string& text) {
    while (text_.find(text) == std::string::npos)
      if (!read_more()) return false;
    return true;
  }

  void send(int signal) const { ::kill(child_, signal); }
  pid_t pid() const { return child_; }

  /// Waits for the end. Once.
  Finished finish() {
    while (read_more()) {
    }
    int status = 0;
    ::waitpid(std::exchange(child_, -1), &status, 0);
    Finished result;
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.out = text_;
    std::rewind(err_);
    char buffer[4096];
    for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, err_)) > 0;)
      result.err.append(buffer, n);
    return result;
  }

 private:
  bool read_more() {
    char buffer[4096];
    const ssize_t n = ::read(out_, buffer, sizeof buffer);
    if (n > 0) text_.append(buffer, static_cast<std::size_t>(n));
    return n > 0 || (n < 0 && errno == EINTR);
  }

  std::FILE* err_;
  int out_ = -1;
  pid_t child_ = -1;
  std::string text_;
};

/// Runs a program to its end.
inline Finished run_program(const std::string& name,
                            const std::vector<std::string>& arguments,
                            const std::function<void()>& in_child = {}) {
  return RunningProgram(name, arguments, in_child).finish();
}

}  // namespace clx
