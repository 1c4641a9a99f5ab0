#include "apps/support/options.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <iostream>

#include "apps/support/exit_code.h"
#include "apps/support/version.h"
#include "runtime/suggest.h"

namespace clx::app {

struct Options::Raw {
  std::vector<std::vector<std::string>> texts;  // per table entry; empty if not on the command line
  std::string config;
  bool print_config = false, help = false, version = false;
};

namespace {

// --batch_size=8 → --batch-size=8
std::string kebab(std::string argument) {
  if (!argument.starts_with("--")) return argument;
  const auto end =
      argument.begin() + static_cast<std::ptrdiff_t>(std::min(argument.find('='), argument.size()));
  std::replace(argument.begin(), end, '_', '-');
  return argument;
}

std::vector<std::string> split_at_commas(const std::vector<std::string>& texts) {
  std::vector<std::string> parts;
  for (const std::string& text : texts) {
    std::size_t begin = 0;
    while (begin <= text.size()) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      if (end > begin) parts.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return parts;
}

// The first argument that no option took, as an error.
[[noreturn]] void refuse(const std::vector<std::string>& left, const std::vector<std::string>& known) {
  for (const std::string& argument : left) {
    if (!argument.starts_with("-") || argument == "--") continue;
    const std::string flag = argument.substr(0, argument.find('='));
    const std::string name = flag.substr(std::min(flag.find_first_not_of('-'), flag.size()));
    throw UsageError(fmt::format("unknown flag {}{}", flag, did_you_mean(name, known, "--")));
  }
  throw UsageError("unexpected argument " + left.front());
}

// Breaks `text` into lines of at most `width` characters (not bytes), each after the first behind `indent`.
std::string wrap(const std::string& text, std::size_t width, std::size_t indent) {
  std::string result;
  std::size_t column = 0;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const auto length = static_cast<std::size_t>(
        std::ranges::count_if(word, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
    if (column > 0 && column + 1 + length > width) {
      result += "\n" + std::string(indent, ' ');
      column = 0;
    } else if (column > 0) {
      result += ' ';
      ++column;
    }
    result += word;
    column += length;
    begin = end + 1;
  }
  return result;
}

std::string help_line(const std::string& left, const std::string& right) {
  constexpr std::size_t kColumn = 30, kWidth = 100;
  std::string line = "  " + left;
  line +=
      line.size() + 2 > kColumn ? "\n" + std::string(kColumn, ' ') : std::string(kColumn - line.size(), ' ');
  return line + wrap(right, kWidth - kColumn, kColumn) + "\n";
}

}  // namespace

Options::Options(std::string program, std::string summary)
    : program_(std::move(program)), summary_(std::move(summary)) {}

Option& Options::append(std::string name, std::string help) {
  CLX_CHECK(!find(name), "options: expected each name once, got --", name, " twice");
  Option& option = table_.emplace_back();
  option.name_ = std::move(name);
  option.help_ = std::move(help);
  option.group_ = group_;
  return option;
}

void Options::inherit(std::string from,
                      std::vector<std::string> names,
                      std::function<std::filesystem::path(const std::string&)> file) {
  for (const std::string& name : names) {
    CLX_CHECK(find(name), "options: expected a declared name to inherit, got ", name);
  }
  inherited_.push_back({std::move(from), std::move(names), std::move(file)});
}

void Options::preset(std::string from, std::function<Values(const std::string&)> values) {
  CLX_CHECK(find(from), "options: expected a declared name to choose by, got ", from);
  presets_.push_back({std::move(from), "", std::move(values)});
}

void Options::apply_presets() {
  for (const Preset& preset : presets_) {
    const Option& from = *find(preset.from);
    const std::string text = from.text();
    if (!preset.config_text.empty() && preset.config_text != text)
      throw UsageError(fmt::format(
          "--{0}: expected {1}, as in the config file, got {2}; the file's other values would win over those "
          "of {2}: take the line {0} and the values it brings out of the file",
          preset.from, preset.config_text, text));
    for (const auto& [name, value] : preset.values(text)) {
      Option* option = find(name);
      CLX_CHECK(option, "options: expected a declared name to preset, got ", name);
      if (option->source_ > Option::Source::preset) continue;
      option->set(option->list_ ? split_at_commas({value}) : std::vector<std::string>{value});
      option->source_ = Option::Source::preset;
    }
  }
}

// --augment=no → --no-augment, so that CLI11 sees flags without values only.
std::string Options::plain_flag(const std::string& argument) const {
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos || !argument.starts_with("--")) return argument;
  std::string name = argument.substr(2, equals - 2);
  const bool negated = !find(name) && name.starts_with("no-");
  if (negated) name = name.substr(3);
  const Option* option = find(name);
  if (!option || option->kind_ != ValueKind::flag) return argument;
  bool on = false;
  try {
    parse_value(argument.substr(equals + 1), &on);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", argument.substr(0, equals), error.what()));
  }
  return (on != negated ? "--" : "--no-") + name;
}

Options::Raw Options::split(int argc, const char* const* argv) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  const auto keep = [](const CLI::results_t&) { return true; };
  const auto ignore = [](std::int64_t) {};
  std::vector<CLI::Option*> entries;
  for (const Option& option : table_) {
    const std::string letter = option.letter_ ? fmt::format(",-{}", option.letter_) : "";
    CLI::Option* entry = nullptr;
    if (option.positional_) {
      entry = app.add_option(option.name_, CLI::callback_t(keep));
      entry->expected(1, option.list_ ? CLI::detail::expected_max_vector_size : 1)
          ->allow_extra_args(option.list_);
    } else if (option.kind_ == ValueKind::flag) {
      entry = app.add_flag_function(fmt::format("--{0},!--no-{0}{1}", option.name_, letter), ignore);
    } else {
      entry = app.add_option("--" + option.name_ + letter, CLI::callback_t(keep));
      entry->type_name(option.value_name());
    }
    const bool all = option.list_;
    entry->multi_option_policy(all ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
    entries.push_back(entry);
  }
  Raw raw;
  CLI::Option* config = app.add_option("--config,-c", CLI::callback_t(keep))->type_name("<file>");
  app.add_flag("--print-config", raw.print_config);
  app.add_flag("--help,-h", raw.help);
  app.add_flag("--version", raw.version);

  std::vector<std::string> arguments;
  bool only_values = false;
  for (int i = 1; i < argc; ++i) {
    only_values = only_values || std::string_view(argv[i]) == "--";
    arguments.push_back(only_values ? argv[i] : plain_flag(kebab(argv[i])));
  }
  std::ranges::reverse(arguments);  // CLI11 takes them from the back
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  if (raw.help || raw.version) return raw;
  if (const auto left = app.remaining(); !left.empty()) refuse(left, names());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& results = entries[i]->results();
    raw.texts.push_back(table_[i].list_ && !table_[i].positional_ ? split_at_commas(results) : results);
  }
  if (!config->results().empty()) raw.config = config->results().back();
  return raw;
}

void Options::apply(const Raw& raw) {
  for (std::size_t i = 0; i < table_.size(); ++i) {
    if (raw.texts[i].empty()) continue;
    Option& option = table_[i];
    try {
      option.set(raw.texts[i]);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}{}: {}", option.positional_ ? "" : "--", option.name_, error.what()));
    }
    option.source_ = Option::Source::command_line;
  }
}

void Options::check_required() const {
  for (const Option& option : table_) {
    if (!option.required_ || option.source_ != Option::Source::built_in) continue;
    throw UsageError(
        fmt::format("missing {}{}: {}", option.positional_ ? "" : "--", option.name_, option.help_));
  }
}

std::optional<int> Options::parse(int argc, const char* const* argv) {
  return parse(argc, argv, std::cout, std::cerr);
}

std::optional<int> Options::parse(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  for (Option& option : table_)
    option.source_ = Option::Source::built_in;
  try {
    const Raw raw = split(argc, argv);
    if (raw.help) out << help();
    if (raw.version && !raw.help) out << program_ << ' ' << version() << '\n' << build_description() << '\n';
    if (raw.help || raw.version) return ok;
    if (!raw.config.empty()) read_config(raw.config, Option::Source::config, nullptr);
    apply(raw);
    read_inherited();
    apply_presets();
    if (raw.print_config) {
      out << to_toml();
      return ok;
    }
    check_required();
  } catch (const UsageError& error) {
    err << "error: " << error.what() << "\n(" << program_ << " --help lists all options)\n";
    return usage;
  }
  return std::nullopt;
}

Option* Options::find(std::string_view name) {
  const auto it = std::ranges::find(table_, name, &Option::name_);
  return it == table_.end() ? nullptr : &*it;
}

const Option* Options::find(std::string_view name) const {
  return const_cast<Options*>(this)->find(name);
}

std::vector<std::string> Options::names() const {
  std::vector<std::string> all = {"config", "print-config", "help", "version"};
  for (const Option& option : table_) {
    if (!option.positional_) all.push_back(option.name_);
    if (option.kind_ == ValueKind::flag) all.push_back("no-" + option.name_);
  }
  return all;
}

std::vector<std::string> Options::declared() const {
  std::vector<std::string> all;
  for (const Option& option : table_)
    all.push_back(option.name_);
  return all;
}

bool Options::given(std::string_view name) const {
  const Option* option = find(name);
  CLX_CHECK(option, "options: expected a declared name, got ", name);
  return option->source_ == Option::Source::config || option->source_ == Option::Source::command_line;
}

std::string Options::help() const {
  std::string text = fmt::format("{}: {}\n\nUsage: {} [options]", program_, summary_, program_);
  std::vector<std::string> groups;
  for (const Option& option : table_) {
    if (option.positional_) {
      const std::string what = option.name_ + (option.list_ ? " …" : "");
      text += option.required_ ? " <" + what + ">" : " [" + what + "]";
    }
    if (std::ranges::find(groups, option.group_) == groups.end()) groups.push_back(option.group_);
  }
  text += "\n";
  for (const std::string& group : groups) {
    text += "\n" + group + "\n";
    for (const Option& option : table_) {
      if (option.group_ != group) continue;
      std::string left = option.positional_ ? option.name_ : "--" + option.name_;
      if (option.letter_) left = fmt::format("-{}, {}", option.letter_, left);
      if (!option.positional_ && option.kind_ != ValueKind::flag) left += " " + option.value_name();
      text += help_line(left, option.description());
    }
  }
  text += "\nEvery program\n";
  text += help_line("-c, --config <file>", "TOML file with the names above as keys; flags win over it");
  text += help_line("--print-config", "print all values as TOML (input for --config) and end");
  text += help_line("-h, --help", "print this and end");
  text += help_line("--version", "print version and build and end");
  text += "\nA flag --x is turned off by --no-x. Lists are separated by commas.\n\nExit codes\n";
  return text + exit_code_help();
}

}  // namespace clx::app
