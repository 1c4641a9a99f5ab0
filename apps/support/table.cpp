#include "apps/support/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "runtime/check.h"

namespace clx::app {

namespace {

// Characters, not bytes: UTF-8 continuation bytes take no column.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

bool is_number(const std::string& text) {
  if (text == "-") return true;
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && (stop == end || std::string(stop, end) == " %");
}

}  // namespace

Table::Table(std::vector<std::string> header) : rows_{std::move(header)} {}

void Table::row(std::vector<std::string> cells) {
  CLX_CHECK(cells.size() == rows_[0].size(), "table: expected ", rows_[0].size(), " cells, got ",
            cells.size());
  rows_.push_back(std::move(cells));
}

std::string Table::to_string() const {
  const std::size_t columns = rows_[0].size();
  std::vector<std::size_t> widths(columns);
  std::vector<bool> right(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    for (const auto& row : rows_)
      widths[c] = std::max(widths[c], width(row[c]));
    right[c] = rows_.size() > 1 && std::all_of(rows_.begin() + 1, rows_.end(),
                                               [c](const auto& row) { return is_number(row[c]); });
  }
  std::string text;
  const auto end_line = [&text] {
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      const std::string blanks(widths[c] - width(rows_[r][c]), ' ');
      text += (c ? "  " : "") + (right[c] ? blanks + rows_[r][c] : rows_[r][c] + blanks);
    }
    end_line();
    if (r > 0) continue;
    for (std::size_t c = 0; c < columns; ++c)
      text += (c ? "  " : "") + std::string(widths[c], '-');
    end_line();
  }
  return text;
}

std::string cell(double value, int digits) {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, digits);
}

}  // namespace clx::app
