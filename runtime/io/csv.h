// Tables as CSV: a header, then rows; what spreadsheets and pandas read.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/file.h"

namespace clx::io {

/// The text of a number: the shortest that reads back as the same float or double, with `.` as decimal
/// point whatever the locale and `.0` behind whole numbers; `nan`, `inf`, `-inf`.
std::string csv_text(float value);
std::string csv_text(double value);

/// One field of a row: text, a whole number or a floating number.
class CsvCell {
 public:
  CsvCell(std::string_view text) : text_(text) {}    // NOLINT: a row is written as {1, 0.5f, "cat"}
  CsvCell(const std::string& text) : text_(text) {}  // NOLINT
  CsvCell(const char* text) : text_(text) {}         // NOLINT
  CsvCell(float value) : text_(csv_text(value)) {}   // NOLINT
  CsvCell(double value) : text_(csv_text(value)) {}  // NOLINT
  template <std::integral Integer>
  CsvCell(Integer value) : text_(std::to_string(value)) {}  // NOLINT
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Writes a table row by row; lines end with a line feed, fields are quoted where RFC 4180 asks for it.
///
/// Throws  Error `writing <path>: …` if it cannot be written, or a row has another number of fields than
///         the header
/// Notes   The file appears at commit() (AtomicFile). A bool is written as 1 or 0.
class CsvWriter {
 public:
  CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& header);
  void row(const std::vector<CsvCell>& cells);
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
  std::size_t columns_;
};

/// A table in memory.
struct CsvTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;

  /// The index of a column. Throws DataError, listing the columns, if there is none of this name.
  std::size_t column(std::string_view name) const;
  /// The numbers of a column; empty fields and `nan` are NaN. Throws DataError at anything else.
  std::vector<double> numbers(std::string_view name) const;
};

/// Reads a CSV file with a header.
///
/// Throws  DataError `reading <path>: …` if it is missing or empty, names a column twice, leaves a quote
///         open, or has a row with another number of fields than the header (the line is named)
/// Notes   Takes LF and CRLF, quoted line ends, and a UTF-8 byte order mark. Skips empty lines.
/// Source  RFC 4180
CsvTable read_csv(const std::filesystem::path& path);

}  // namespace clx::io
