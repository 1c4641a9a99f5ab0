// One option's value: from text, to text, with the checks that both command line and config file share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace clx::app {

enum class ValueKind { flag, whole_number, number, text };

/// Text to value, as written on a command line. Throws UsageError("expected a number, got x").
void parse_value(const std::string& text, bool* out);
void parse_value(const std::string& text, int* out);
void parse_value(const std::string& text, std::int64_t* out);
void parse_value(const std::string& text, std::uint64_t* out);
void parse_value(const std::string& text, float* out);
void parse_value(const std::string& text, double* out);
void parse_value(const std::string& text, std::string* out);
void parse_value(const std::string& text, std::filesystem::path* out);

/// Value to text that TOML reads back as the same value; numbers in their shortest form.
std::string toml_literal(bool value);
std::string toml_literal(int value);
std::string toml_literal(std::int64_t value);
std::string toml_literal(std::uint64_t value);
std::string toml_literal(float value);
std::string toml_literal(double value);
std::string toml_literal(const std::string& value);
std::string toml_literal(const std::filesystem::path& value);

/// One line of a program's option table. The setters are for the declaration:
/// `o.add("lr", &cfg.lr, "initial learning rate").range(0, 1e3)`.
class Option {
 public:
  /// Bounds of a number, both inclusive.
  Option& range(double lo, double hi);
  /// A number greater than zero.
  Option& positive();
  /// The only texts allowed.
  Option& choices(std::vector<std::string> names);
  /// A one-letter flag beside the long one: -b for --batch-size.
  Option& letter(char c);
  /// A value must come from the command line or the config file.
  Option& required();

 private:
  friend class Options;

  // Checks the texts and stores them. Throws UsageError that begins with "expected".
  void set(const std::vector<std::string>& texts);
  void check(const std::string& text) const;
  std::string text() const;         // the value now, of a text
  std::string value_name() const;   // what stands behind the flag in --help: "<number>"
  std::string description() const;  // help, bounds or choices, default

  enum class Source { built_in, inherited, preset, config, command_line };

  std::string name_, help_, group_;
  std::string default_;  // TOML literal of the built-in value; empty if there is none
  ValueKind kind_ = ValueKind::text;
  bool list_ = false, positional_ = false, required_ = false;
  char letter_ = 0;
  double lo_ = -std::numeric_limits<double>::infinity();
  double hi_ = std::numeric_limits<double>::infinity();
  bool above_zero_ = false;
  std::vector<std::string> choices_;
  Source source_ = Source::built_in;
  std::function<void(const std::vector<std::string>&)> assign_;
  std::function<std::string()> literal_;  // the value now; empty if there is none
};

template <class T>
struct OptionalOf : std::false_type {
  using Value = T;
};
template <class T>
struct OptionalOf<std::optional<T>> : std::true_type {
  using Value = T;
};
template <class T>
struct ListOf : std::false_type {
  using Value = T;
};
template <class T>
struct ListOf<std::vector<T>> : std::true_type {
  using Value = T;
};

template <class T>
constexpr ValueKind value_kind() {
  if constexpr (std::is_same_v<T, bool>) return ValueKind::flag;
  if constexpr (std::is_integral_v<T>) return ValueKind::whole_number;
  if constexpr (std::is_floating_point_v<T>) return ValueKind::number;
  return ValueKind::text;
}

}  // namespace clx::app
