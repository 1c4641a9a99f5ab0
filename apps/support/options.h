// The option table of a program: one declaration feeds the command line, the config file, --help and
// --print-config.
#pragma once

#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/support/option_value.h"

namespace clx::app {

/// Options of one program (or of one of its subcommands). A value is, in rising precedence, what the
/// variable held when it was declared, an inherited one, the config file's, the command line's.
///
/// A preset, the choice of one option that brings values of others, stands between the inherited values and
/// the config file's.
///
///   Options o("clx-train", "Trains an image classifier.");
///   o.group("Training");
///   o.add("lr", &cfg.lr, "initial learning rate").range(0, 1e3);
///   if (auto code = o.parse(argc, argv)) return *code;
///
/// Names are kebab-case; `--batch_size` is read as `--batch-size`, in the config file too. Lists are
/// comma-separated or repeated. A flag `--x` has its opposite `--no-x`. Every program has --config,
/// --print-config, --help and --version.
class Options {
 public:
  Options(std::string program, std::string summary);

  /// The heading under which --help lists what is added next.
  void group(std::string name) { group_ = std::move(name); }

  /// Declares `--name`. T is bool, int, std::int64_t, std::uint64_t, float, double, std::string,
  /// std::filesystem::path, or a std::vector or std::optional of one. `target` must outlive the table.
  template <class T>
  Option& add(std::string name, T* target, std::string help);

  /// Declares `--name` with one of a few named values: add("loss", &loss, {{"ce", Loss::ce}}, "…").
  template <class E>
  Option& add(std::string name, E* target, std::vector<std::pair<std::string, E>> names, std::string help);

  /// Declares an argument without a flag; a list takes all that are left.
  template <class T>
  Option& positional(std::string name, T* target, std::string help);

  /// When option `from` is given, `file(its text)` names a config file of another program whose values
  /// become the defaults of `names` here. Its other keys are ignored; an empty path is none.
  void inherit(std::string from,
               std::vector<std::string> names,
               std::function<std::filesystem::path(const std::string&)> file);

  /// The value of option `from` brings values of other options: `values(its text)` has their names and texts.
  /// A command line that names another `from` than the config file is refused: the values in the file would
  /// win over those the choice brings.
  using Values = std::vector<std::pair<std::string, std::string>>;
  void preset(std::string from, std::function<Values(const std::string&)> values);

  /// Reads the command line and the config file it names. Returns the exit code when the program is to
  /// end: 0 after --help, --version or --print-config (written to `out`), 2 after a usage error
  /// (`error: …` on `err`).
  std::optional<int> parse(int argc, const char* const* argv);
  std::optional<int> parse(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

  /// True if the value came from the command line or the config file.
  bool given(std::string_view name) const;

  /// The name and the value, as a literal of TOML that JSON reads too, of every option that has one.
  Values values() const;

  /// All values as TOML, valid for --config. Options without a value stand as comments.
  std::string to_toml() const;

  std::string help() const;

  /// All that were declared, in that order.
  std::vector<std::string> declared() const;

 private:
  struct Raw;  // the command line, split but not yet interpreted

  Option& append(std::string name, std::string help);
  template <class T>
  void bind(Option& option, T* target);
  std::string plain_flag(const std::string& argument) const;
  Raw split(int argc, const char* const* argv);
  void apply(const Raw& raw);
  void read_config(const std::filesystem::path& file,
                   Option::Source source,
                   const std::vector<std::string>* only);
  void read_inherited();
  void apply_presets();
  void check_required() const;
  Option* find(std::string_view name);
  const Option* find(std::string_view name) const;
  std::vector<std::string> names() const;

  struct Inherited {
    std::string from;
    std::vector<std::string> names;
    std::function<std::filesystem::path(const std::string&)> file;
  };

  struct Preset {
    std::string from, config_text;  // what the config file says
    std::function<Values(const std::string&)> values;
  };

  std::string program_, summary_, group_ = "Options";
  std::deque<Option> table_;  // references stay valid while it grows
  std::vector<Inherited> inherited_;
  std::vector<Preset> presets_;
};

template <class T>
void Options::bind(Option& option, T* target) {
  using Inner = typename ListOf<typename OptionalOf<T>::Value>::Value;
  option.kind_ = value_kind<Inner>();
  option.list_ = ListOf<T>::value;
  option.assign_ = [target](const std::vector<std::string>& texts) {
    if constexpr (ListOf<T>::value) {
      T values;
      for (const std::string& text : texts) {
        Inner value{};
        parse_value(text, &value);
        values.push_back(std::move(value));
      }
      *target = std::move(values);
    } else {
      Inner value{};
      parse_value(texts.back(), &value);
      *target = std::move(value);
    }
  };
  option.literal_ = [target]() -> std::string {
    if constexpr (ListOf<T>::value) {
      std::string text;
      for (const auto& value : *target)
        text += (text.empty() ? "" : ", ") + toml_literal(Inner(value));
      return "[" + text + "]";
    } else if constexpr (OptionalOf<T>::value) {
      return *target ? toml_literal(**target) : "";
    } else {
      return toml_literal(*target);
    }
  };
  option.default_ = option.literal_();
}

template <class T>
Option& Options::add(std::string name, T* target, std::string help) {
  Option& option = append(std::move(name), std::move(help));
  bind(option, target);
  return option;
}

template <class E>
Option& Options::add(std::string name,
                     E* target,
                     std::vector<std::pair<std::string, E>> names,
                     std::string help) {
  Option& option = append(std::move(name), std::move(help));
  for (const auto& [text, value] : names)
    option.choices_.push_back(text);
  option.assign_ = [target, names](const std::vector<std::string>& texts) {
    *target = std::ranges::find(names, texts.back(), &std::pair<std::string, E>::first)->second;
  };
  option.literal_ = [target, names] {
    return toml_literal(std::ranges::find(names, *target, &std::pair<std::string, E>::second)->first);
  };
  option.default_ = option.literal_();
  return option;
}

template <class T>
Option& Options::positional(std::string name, T* target, std::string help) {
  Option& option = add(std::move(name), target, std::move(help));
  option.positional_ = true;
  return option;
}

}  // namespace clx::app
