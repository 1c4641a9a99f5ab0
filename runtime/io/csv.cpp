#include "runtime/io/csv.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "runtime/check.h"

namespace clx::io {
namespace {

template <class Float>
std::string text_of(Float value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  std::string text(digits.data(), end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(const std::string& text) {
  const bool spaced = !text.empty() && (text.front() == ' ' || text.back() == ' ');
  if (!spaced && text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text)
    result += c == '"' ? "\"\"" : std::string(1, c);
  return result + '"';
}

std::string line_of(const std::vector<std::string>& fields) {
  // A lone empty field would read back as an empty line.
  if (fields.size() == 1 && fields[0].empty()) return "\"\"\n";
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i)
    line += (i > 0 ? "," : "") + quoted(fields[i]);
  return line + '\n';
}

// Takes fields and rows from the front of a text.
class Parser {
 public:
  Parser(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  bool done() const { return at_ == text_.size(); }
  std::size_t line() const { return line_; }

  bool skip_empty_line() {
    const std::string_view rest = text_.substr(at_);
    const std::size_t length = rest.starts_with("\n") ? 1 : rest.starts_with("\r\n") ? 2 : 0;
    at_ += length;
    line_ += length > 0;
    return length > 0;
  }

  std::vector<std::string> row() {
    std::vector<std::string> fields;
    do
      fields.push_back(next() == '"' ? quoted_field() : plain_field());
    while (accept(','));
    accept('\r');
    CLX_CHECK_DATA(done() || accept('\n'), "reading ", where_, ": expected a comma after the quote in line ",
                   line_);
    ++line_;
    return fields;
  }

 private:
  char next() const { return done() ? '\n' : text_[at_]; }
  bool accept(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string plain_field() {
    const std::size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
    std::string field(text_.substr(at_, end - at_));
    at_ = end;
    if (next() == '\n' && field.ends_with('\r')) field.pop_back();
    return field;
  }
  std::string quoted_field() {
    const std::size_t first = line_;
    std::string field;
    ++at_;
    while (true) {
      const std::size_t end = text_.find('"', at_);
      CLX_CHECK_DATA(end != std::string_view::npos, "reading ", where_, ": expected the quote of line ",
                     first, " to be closed");
      const std::string_view part = text_.substr(at_, end - at_);
      field += part;
      line_ += static_cast<std::size_t>(std::count(part.begin(), part.end(), '\n'));
      at_ = end + 1;
      if (!accept('"')) return field;
      field += '"';
    }
  }

  std::string_view text_;
  std::string where_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

}  // namespace

std::string csv_text(float value) {
  return text_of(value);
}
std::string csv_text(double value) {
  return text_of(value);
}

CsvWriter::CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& header)
    : file_(path), columns_(header.size()) {
  CLX_CHECK(!header.empty(), "writing ", path.string(), ": expected at least one column");
  file_.write(line_of(header));
}

void CsvWriter::row(const std::vector<CsvCell>& cells) {
  CLX_CHECK(cells.size() == columns_, "writing ", file_.path().string(), ": expected ", columns_,
            " fields in a row, got ", cells.size());
  std::vector<std::string> fields;
  for (const CsvCell& cell : cells)
    fields.push_back(cell.text());
  file_.write(line_of(fields));
}

std::size_t CsvTable::column(std::string_view name) const {
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end()) {
    std::string columns;
    for (const std::string& c : header)
      columns += (columns.empty() ? "" : ", ") + c;
    throw DataError(concat("csv: expected a column ", name, ", got ", columns));
  }
  return static_cast<std::size_t>(found - header.begin());
}

std::vector<double> CsvTable::numbers(std::string_view name) const {
  const std::size_t index = column(name);
  std::vector<double> values;
  for (const std::vector<std::string>& fields : rows) {
    const std::string& text = fields[index];
    double value = std::numeric_limits<double>::quiet_NaN();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    CLX_CHECK_DATA(text.empty() || (error == std::errc() && end == text.data() + text.size()),
                   "csv: expected numbers in column ", name, ", got ", text);
    values.push_back(value);
  }
  return values;
}

CsvTable read_csv(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  CLX_CHECK_DATA(!text.empty(), "reading ", path.string(), ": expected a header, got an empty file");
  Parser parser(text, path.string());
  CsvTable table;
  table.header = parser.row();
  std::set<std::string> names;
  for (const std::string& name : table.header)
    CLX_CHECK_DATA(names.insert(name).second, "reading ", path.string(),
                   ": expected each column once, got two of ", name);
  while (!parser.done()) {
    if (parser.skip_empty_line()) continue;
    const std::size_t line = parser.line();
    table.rows.push_back(parser.row());
    CLX_CHECK_DATA(table.rows.back().size() == table.header.size(), "reading ", path.string(), ": expected ",
                   table.header.size(), " fields in line ", line, ", got ", table.rows.back().size());
  }
  return table;
}

}  // namespace clx::io
