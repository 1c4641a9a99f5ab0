// The config file side of the option table.
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <sstream>
#include <toml++/toml.h>

#include "apps/support/exit_code.h"
#include "apps/support/options.h"
#include "runtime/suggest.h"

namespace clx::app {

namespace {

constexpr std::uintmax_t kMaxConfigBytes = 1 << 20;

toml::table parse_file(const std::filesystem::path& file) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(file, error);
  if (error) throw UsageError(fmt::format("config {}: {}", file.string(), error.message()));
  if (bytes > kMaxConfigBytes) {
    throw UsageError(
        fmt::format("config {}: expected at most {} bytes, got {}", file.string(), kMaxConfigBytes, bytes));
  }
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) throw UsageError(fmt::format("config {}: cannot be read", file.string()));
  try {
    return toml::parse(text.str(), file.string());
  } catch (const toml::parse_error& problem) {
    throw UsageError(
        fmt::format("config {}:{}: {}", file.string(), problem.source().begin.line, problem.description()));
  }
}

// The text a command line would hold for this value. Refuses a value of another kind: lr = "0.1".
std::string scalar_text(const toml::node& node, ValueKind kind) {
  const char* expected = kind == ValueKind::flag           ? "true or false"
                         : kind == ValueKind::whole_number ? "a whole number"
                         : kind == ValueKind::number       ? "a number"
                                                           : "a text in quotes";
  if (kind == ValueKind::flag && node.is_boolean()) return toml_literal(**node.as_boolean());
  if (kind != ValueKind::text && kind != ValueKind::flag && node.is_integer()) {
    return toml_literal(**node.as_integer());
  }
  if (kind == ValueKind::number && node.is_floating_point()) return toml_literal(**node.as_floating_point());
  if (kind == ValueKind::text && node.is_string()) return **node.as_string();
  std::ostringstream got;
  got << toml::node_view(node);
  throw UsageError(fmt::format("expected {}, got {}", expected, got.str()));
}

std::vector<std::string> texts_of(const toml::node& node, ValueKind kind, bool list) {
  if (!list || !node.is_array()) return {scalar_text(node, kind)};
  std::vector<std::string> texts;
  for (const toml::node& element : *node.as_array())
    texts.push_back(scalar_text(element, kind));
  return texts;
}

}  // namespace

std::string Option::text() const {
  const std::string literal = literal_();
  return kind_ == ValueKind::text ? **toml::parse(fmt::format("v = {}", literal))["v"].as_string() : literal;
}

void Options::read_config(const std::filesystem::path& file,
                          Option::Source source,
                          const std::vector<std::string>* only) {
  const toml::table table = parse_file(file);
  std::map<std::string, std::string> seen;
  for (const auto& [key, node] : table) {
    const std::string written(key.str());
    std::string name = written;
    std::ranges::replace(name, '_', '-');
    if (only && std::ranges::find(*only, name) == only->end()) continue;
    const std::string where = fmt::format("{}:{}", file.string(), node.source().begin.line);
    Option* option = find(name);
    if (!option) {
      throw UsageError(
          fmt::format("{}: unknown key {}{}", where, written, did_you_mean(name, names(), "--")));
    }
    if (!seen.emplace(name, written).second) {
      throw UsageError(fmt::format("{}: {} is set twice, as {} too", where, written, seen[name]));
    }
    if (source < option->source_) continue;
    try {
      option->set(texts_of(node, option->kind_, option->list_));
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}: {}", where, written, error.what()));
    }
    option->source_ = source;
  }
  for (Preset& preset : presets_)
    if (source == Option::Source::config && seen.contains(preset.from))
      preset.config_text = find(preset.from)->text();
}

void Options::read_inherited() {
  for (const Inherited& inherited : inherited_) {
    const Option* from = find(inherited.from);
    CLX_CHECK(from, "options: expected a declared name to inherit by, got ", inherited.from);
    if (from->source_ == Option::Source::built_in) continue;
    const std::string text = from->text();
    if (text.empty()) continue;  // as a printed configuration says that none is named
    const std::filesystem::path file = inherited.file(text);
    if (!file.empty()) read_config(file, Option::Source::inherited, &inherited.names);
  }
}

Options::Values Options::values() const {
  Values all;
  for (const Option& option : table_)
    if (const std::string literal = option.literal_(); !literal.empty())
      all.emplace_back(option.name_, literal);
  return all;
}

std::string Options::to_toml() const {
  std::string text;
  std::string group;
  for (const Option& option : table_) {
    if (option.group_ != group) {
      group = option.group_;
      text += fmt::format("{}# {}\n", text.empty() ? "" : "\n", group);
    }
    const bool missing = option.required_ && option.source_ == Option::Source::built_in;
    const std::string literal = missing ? "" : option.literal_();
    text += literal.empty() ? fmt::format("# {} is not set\n", option.name_)
                            : fmt::format("{} = {}\n", option.name_, literal);
  }
  return text;
}

}  // namespace clx::app
