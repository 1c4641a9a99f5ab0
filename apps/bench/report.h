// The benchmark table as Markdown, row by row.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "apps/bench/case.h"
#include "apps/bench/peaks.h"

namespace clx::app {

class Report {
 public:
  /// Rows also go to `out` as they come; `width` is that of the longest name. `libraries`: some rows have a
  /// library's beside them.
  Report(std::ostream& out, std::size_t width, bool libraries)
      : out_(out), width_(width), libraries_(libraries) {}

  /// What was measured where, and the head of the table.
  void begin(Device device, const Peaks& peaks, int repetitions);
  /// The head of a table whose rows are only timed: no peaks, nothing checked.
  void begin_bare();
  /// The seconds per execution of each repetition, and the most bytes that one took beside its operands.
  void row(const Case& measured, std::vector<double> seconds, std::size_t memory);
  /// A row that was not timed because its check failed.
  void wrong(const Case& measured, const std::string& error);

  int wrong_rows() const { return wrong_rows_; }
  const std::string& text() const { return text_; }

 private:
  void write(const std::string& text);
  void write_header();
  std::string beside_library(const Case& measured) const;

  std::ostream& out_;
  std::size_t width_;
  bool libraries_;
  std::map<std::string, double> seconds_;  // of a row's execution
  Peaks peaks_;
  bool bare_ = false;
  std::string text_;
  int wrong_rows_ = 0;
};

}  // namespace clx::app
