// Tables of text for people.
#pragma once

#include <string>
#include <vector>

namespace clx::app {

/// Columns are as wide as their widest cell; those that hold only numbers are right-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> header);

  /// Throws Error if the number of cells is not that of the header.
  void row(std::vector<std::string> cells);

  /// Header, a rule, rows; each line ends in '\n' and has no trailing blanks.
  std::string to_string() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // rows_[0] is the header
};

/// A number for a table: `digits` after the point, "-" for NaN.
std::string cell(double value, int digits = 4);

}  // namespace clx::app
