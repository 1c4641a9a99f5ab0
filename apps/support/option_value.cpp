#include "apps/support/option_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "apps/support/exit_code.h"
#include "runtime/suggest.h"

namespace clx::app {

namespace {

template <class T>
void parse_number(const std::string& text, const char* what, T* out) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range) {
    throw UsageError(fmt::format("expected {} that fits, got {}", what, text));
  }
  if (error != std::errc() || stop != end) {
    throw UsageError(fmt::format("expected {}, got {}", what, text.empty() ? "nothing" : text));
  }
  *out = value;
}

template <class T>
void parse_real(const std::string& text, T* out) {
  T value{};
  parse_number(text, "a number", &value);
  if (!std::isfinite(value)) throw UsageError("expected a finite number, got " + text);
  *out = value;
}

template <class T>
std::string real_literal(T value) {
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string text(buffer.data(), end);
  // TOML tells 1.0 from 1; an exponent or a point makes it a float.
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

void parse_value(const std::string& text, bool* out) {
  static const std::vector<std::string> yes = {"true", "yes", "on", "1"};
  static const std::vector<std::string> no = {"false", "no", "off", "0"};
  const bool is_yes = std::ranges::find(yes, text) != yes.end();
  if (!is_yes && std::ranges::find(no, text) == no.end()) {
    throw UsageError("expected true or false, got " + text);
  }
  *out = is_yes;
}

void parse_value(const std::string& text, int* out) {
  parse_number(text, "a whole number", out);
}

void parse_value(const std::string& text, std::int64_t* out) {
  parse_number(text, "a whole number", out);
}

void parse_value(const std::string& text, std::uint64_t* out) {
  // TOML's integers are signed, and what the command line takes must be expressible there.
  std::int64_t value = 0;
  parse_number(text, "a whole number", &value);
  if (value < 0) throw UsageError("expected a whole number ≥ 0, got " + text);
  *out = static_cast<std::uint64_t>(value);
}

void parse_value(const std::string& text, float* out) {
  parse_real(text, out);
}

void parse_value(const std::string& text, double* out) {
  parse_real(text, out);
}

void parse_value(const std::string& text, std::string* out) {
  *out = text;
}

void parse_value(const std::string& text, std::filesystem::path* out) {
  *out = text;
}

std::string toml_literal(bool value) {
  return value ? "true" : "false";
}

std::string toml_literal(int value) {
  return std::to_string(value);
}

std::string toml_literal(std::int64_t value) {
  return std::to_string(value);
}

std::string toml_literal(std::uint64_t value) {
  return std::to_string(value);
}

std::string toml_literal(float value) {
  return real_literal(value);
}

std::string toml_literal(double value) {
  return real_literal(value);
}

std::string toml_literal(const std::string& value) {
  std::string text = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\u{:04x}", byte);
    } else {
      text += c;
    }
  }
  return text + '"';
}

std::string toml_literal(const std::filesystem::path& value) {
  return toml_literal(value.string());
}

Option& Option::range(double lo, double hi) {
  lo_ = lo;
  hi_ = hi;
  return *this;
}

Option& Option::positive() {
  above_zero_ = true;
  return *this;
}

Option& Option::choices(std::vector<std::string> names) {
  choices_ = std::move(names);
  return *this;
}

Option& Option::letter(char c) {
  letter_ = c;
  return *this;
}

Option& Option::required() {
  required_ = true;
  return *this;
}

namespace {

std::string bounds_text(double lo, double hi, bool above_zero) {
  if (above_zero && std::isinf(hi)) return "> 0";
  if (above_zero) return fmt::format("> 0 and ≤ {}", hi);
  if (std::isinf(lo) && std::isinf(hi)) return "";
  if (std::isinf(hi)) return fmt::format("≥ {}", lo);
  if (std::isinf(lo)) return fmt::format("≤ {}", hi);
  return fmt::format("{} … {}", lo, hi);
}

}  // namespace

void Option::check(const std::string& text) const {
  if (!choices_.empty() && std::ranges::find(choices_, text) == choices_.end()) {
    throw UsageError(fmt::format("expected {}, got {}{}", fmt::join(choices_, " or "), text,
                                 did_you_mean(text, choices_)));
  }
  if (kind_ == ValueKind::whole_number || kind_ == ValueKind::number) {
    double value = 0;
    parse_value(text, &value);
    if (value < lo_ || value > hi_ || (above_zero_ && value <= 0)) {
      throw UsageError(fmt::format("expected {}, got {}", bounds_text(lo_, hi_, above_zero_), text));
    }
  }
}

void Option::set(const std::vector<std::string>& texts) {
  for (const std::string& text : texts)
    check(text);
  assign_(texts);
}

std::string Option::value_name() const {
  if (kind_ == ValueKind::flag) return "";
  const char* one = kind_ == ValueKind::whole_number ? "int" : kind_ == ValueKind::number ? "number" : "text";
  const std::string inner = !choices_.empty() ? fmt::format("{}", fmt::join(choices_, "|")) : one;
  return list_ ? "<" + inner + ",…>" : "<" + inner + ">";
}

std::string Option::description() const {
  std::string text = help_;
  const std::string bounds = bounds_text(lo_, hi_, above_zero_);
  if (!bounds.empty()) text += "; " + bounds;
  if (required_) return text + " (required)";
  const bool says_something = !default_.empty() && default_ != "\"\"" && default_ != "[]";
  if (says_something && !positional_) text += " (default " + default_ + ")";
  return text;
}

}  // namespace clx::app
